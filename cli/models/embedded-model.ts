import { fileURLToPath } from "node:url";

/** The checkpoint that is the default of every command. Seen from dist/cli/models. */
export const embeddedModel = fileURLToPath(new URL("../../../checkpoints/limn-emoji.safetensors", import.meta.url));
