/** @file Warnings and notes of a run, each said once however many pictures it concerns. */
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

  /** Said again where it is `about` something else. */
  note(text: string, about = ""): void {
    if (!this.#told.has(text + about)) this.#progress.note(text);
    this.#told.add(text + about);
  }
}
