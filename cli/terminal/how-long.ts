/** @file Says, once a run, that a picture will take minutes. */

/** Steps that the host may be ahead of the GPU (model/picture/run-sampler.ts). */
const ahead = 2;
/** Compiling takes a few seconds of the first step: in one longer than this they count little. */
const longStep = 20;

export class HowLong {
  #said = false;
  /** When the GPU had made its first step. */
  #first = 0;

  /**
   * After step `done` of `total`, `seconds` since they began.
   * @returns "expect about 14 min on the CPU", once, or undefined
   */
  after(done: number, total: number, seconds: number): string | undefined {
    const made = done - ahead;
    if (this.#said || made < 1) return undefined;
    if (made === 1) this.#first = seconds;
    const step = made > 1 ? (seconds - this.#first) / (made - 1) : seconds > longStep ? seconds : undefined;
    if (step === undefined) return undefined;
    this.#said = true;
    const whole = seconds + step * (total - made);
    return whole > 60 ? `expect about ${Math.round(whole / 60)} min on the CPU` : undefined;
  }
}
