/**
 * @file How a replay is cut into submissions. Systems end a submission that keeps the GPU from drawing the screen: Windows after
 * 2 s, and then the device is lost. So none should take more than a quarter of a second, as far as single launches allow.
 */
import { waitFor } from "./wait.ts";

/** Launches [begin, end) of a replay in one submission. */
export interface Part {
  readonly begin: number;
  readonly end: number;
}

/** Launches a submission while nothing is known about their time. */
const launchesAtFirst = 8;
/** Parts are made for this share of the budget, as launches differ. */
const aim = 0.5;
/** What a launch takes at least: a clock may stand still. */
const leastMillis = 1e-3;

type Queue = Pick<GPUQueue, "onSubmittedWorkDone">;
type TimeOf = (queue: Queue) => Promise<number>;

export class SubmitCuts {
  /** Milliseconds that a submission may take. */
  readonly #budget: number;
  /** How long each launch takes, as far as the parts tell. Undefined before the first measurement. */
  #millis: readonly number[] | undefined;
  #measuring = false;
  readonly #timeOf: TimeOf;

  /** `timeOf`: when all work given to a queue so far is done, in milliseconds. */
  constructor(budget: number, timeOf: TimeOf = (queue) => queue.onSubmittedWorkDone().then(() => performance.now())) {
    this.#budget = budget;
    this.#timeOf = timeOf;
  }

  /** Calls `submit` for the parts of `launches` launches in order, and takes their times where they are not known well enough. */
  run(launches: number, queue: Queue, submit: (part: Part) => void): void {
    const parts = this.#parts(launches);
    const short = this.#millis !== undefined && parts.length === 1;
    if (this.#budget === Number.POSITIVE_INFINITY || this.#measuring || short) {
      for (const part of parts) submit(part);
      return;
    }
    const before = this.#timeOf(queue); // earlier work may still be under way
    const ends = parts.map((part) => {
      submit(part);
      return this.#timeOf(queue);
    });
    this.#measuring = true;
    void this.#learn(parts, [before, ...ends]);
  }

  #parts(launches: number): Part[] {
    const parts: Part[] = [];
    const most = this.#millis ? aim * this.#budget : launchesAtFirst;
    let [begin, sum] = [0, 0];
    for (let i = 0; i < launches && this.#budget < Number.POSITIVE_INFINITY; i++) {
      const next = this.#millis?.[i] ?? 1;
      if (i > begin && sum + next > most) {
        parts.push({ begin, end: i });
        [begin, sum] = [i, 0];
      }
      sum += next;
    }
    return [...parts, { begin, end: launches }];
  }

  async #learn(parts: readonly Part[], times: readonly Promise<number>[]): Promise<void> {
    try {
      const at = await waitFor(Promise.all(times));
      const known = this.#millis;
      // A part's time is shared out as its launches were thought to differ, so that every cut tells more of them apart.
      this.#millis = parts.flatMap(({ begin, end }, i) => {
        const thought = known?.slice(begin, end) ?? Array<number>(end - begin).fill(1);
        const scale = (at[i + 1]! - at[i]!) / thought.reduce((a, b) => a + b, 0);
        return thought.map((millis) => Math.max(millis * scale, leastMillis));
      });
    } catch {
      // The device is lost: whoever waits for a result says so.
    } finally {
      this.#measuring = false;
    }
  }
}
