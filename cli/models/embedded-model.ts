import { fileURLToPath } from "node:url";
import { packageRoot } from "../package-root.ts";

/** The checkpoint that is the default of every command. */
export const embeddedModel = fileURLToPath(new URL("checkpoints/limn-emoji.safetensors", packageRoot));
