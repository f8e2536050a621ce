/** @file Says, once a run, that a picture will take minutes. */
import type { Progress } from "./progress.ts";

/** Compiling takes a few seconds of the first step: in a step longer than this they count little. */
const longStep = 20;

export class HowLong {
  #said = false;

  /** After step `done` of a stage. */
  say(done: number, progress: Pick<Progress, "secondsLeft" | "secondsOfStage" | "note">): void {
    const { secondsLeft, secondsOfStage } = progress;
    if (this.#said || (done < 2 && secondsOfStage < longStep)) return;
    this.#said = true;
    const seconds = secondsOfStage + secondsLeft;
    if (seconds > 60) progress.note(`expect about ${Math.round(seconds / 60)} min on the CPU`);
  }
}
