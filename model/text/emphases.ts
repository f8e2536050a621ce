/** @file What weights in a prompt can be made to do. A file of its own, as the command line needs the names and nothing else. */
import type { Emphasis } from "../../tokenizer/prompt/index.ts";

export const emphases = ["original", "no-norm", "ignore", "none", "comfy"] as const satisfies readonly Emphasis[];
