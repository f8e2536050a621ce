/** @file Warnings and notes of a run, each said once however many pictures it concerns. */
import { counted } from "./counted.ts";
import type { Progress } from "./progress.ts";

export class Notices {
  readonly #progress: Progress;
  readonly #told = new Set<string>();

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  warn(text: string): void {
    if (!this.#told.has(text)) this.#progress.warn(text);
    this.#told.add(text);
  }

  /** Tensors that checkpoints have and no module asked for. */
  unused(checkpoints: readonly { readonly unused: readonly string[] }[]): void {
    for (const { unused } of checkpoints) {
      if (unused.length === 0) continue;
      const are = unused.length === 1 ? "is" : "are";
      this.note(`${counted(unused.length, "tensor")} of the checkpoint ${are} not used (--strict refuses that)`);
    }
  }

  /** Said again where it is `about` something else. */
  note(text: string, about = ""): void {
    if (!this.#told.has(text + about)) this.#progress.note(text);
    this.#told.add(text + about);
  }
}
