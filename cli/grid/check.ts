/** @file What can be known to be wrong with the cells of a grid before anything is loaded. */
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { checkPicture } from "../check-picture.ts";
import { openModelFiles } from "../model-files.ts";
import type { Cell } from "./cells.ts";

/** @throws UsageError; FileSystemError and NetworkError of a model that can't be opened */
export async function checkCells(cells: readonly Cell[], signal: AbortSignal): Promise<void> {
  const tokenizer = new ClipTokenizer();
  const seen = new Set<string>();
  for (const { options } of cells) {
    checkPicture(options, tokenizer);
    const model = JSON.stringify([options.model, options.vae]);
    if (seen.has(model)) continue;
    seen.add(model);
    await (await openModelFiles(options, signal)).close();
  }
}
