import { expect, test } from "vitest";
import { type Part, SubmitCuts } from "../../engine/submit-cuts.ts";

/** A queue that takes `millis[i]` for launch i, on a clock of its own. */
class SlowQueue {
  now = 0;
  longest = 0;
  waits = 0;
  readonly #millis: readonly number[];

  constructor(millis: readonly number[]) {
    this.#millis = millis;
  }

  submit({ begin, end }: Part): void {
    const millis = this.#millis.slice(begin, end).reduce((a, b) => a + b, 0);
    this.longest = Math.max(this.longest, millis);
    this.now += millis;
  }

  /** For SubmitCuts. */
  readonly timeOf = (): Promise<number> => {
    this.waits++;
    return Promise.resolve(this.now);
  };
}

const unused = { onSubmittedWorkDone: () => Promise.reject(new Error("not asked")) };

/** One replay: its parts. */
async function replay(cuts: SubmitCuts, queue: SlowQueue, launches: number): Promise<Part[]> {
  const parts: Part[] = [];
  queue.longest = 0;
  cuts.run(launches, unused, (part) => {
    parts.push(part);
    queue.submit(part);
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  return parts;
}

function expectWhole(parts: readonly Part[], launches: number): void {
  expect(parts[0]!.begin).toBe(0);
  expect(parts.at(-1)!.end).toBe(launches);
  for (const [i, part] of parts.entries()) expect(part.end).toBe(parts[i + 1]?.begin ?? launches);
}

test("short work is cut small at first, then not at all, and no longer measured", async () => {
  const queue = new SlowQueue(Array<number>(400).fill(0.01));
  const cuts = new SubmitCuts(250, queue.timeOf);
  const first = await replay(cuts, queue, 400);
  expect(first.length).toBe(50);
  expectWhole(first, 400);
  expect(await replay(cuts, queue, 400)).toEqual([{ begin: 0, end: 400 }]);
  const { waits } = queue;
  await replay(cuts, queue, 400);
  expect(queue.waits).toBe(waits);
});

test("long work is cut so that no submission takes more than the budget, though launches differ", async () => {
  const queue = new SlowQueue(Array.from({ length: 400 }, (_, i) => (i > 350 ? 40 : 2)));
  const cuts = new SubmitCuts(250, queue.timeOf);
  await replay(cuts, queue, 400);
  const parts = await replay(cuts, queue, 400);
  expectWhole(parts, 400);
  expect(queue.longest).toBeLessThanOrEqual(250);
  expect(parts.length).toBeLessThan(60);
});

test("one launch that is too long stands alone", async () => {
  const queue = new SlowQueue([1, 1, 1, 1, 1, 1, 1, 1, 900, 1, 1, 1, 1, 1, 1, 1]);
  const cuts = new SubmitCuts(250, queue.timeOf);
  for (let i = 0; i < 8; i++) await replay(cuts, queue, 16);
  const parts = await replay(cuts, queue, 16);
  expectWhole(parts, 16);
  expect(parts).toContainEqual({ begin: 8, end: 9 });
});

test("without a budget nothing is cut or measured", async () => {
  const queue = new SlowQueue([9000, 9000]);
  expect(await replay(new SubmitCuts(Number.POSITIVE_INFINITY, queue.timeOf), queue, 2)).toEqual([{ begin: 0, end: 2 }]);
  expect(queue.waits).toBe(0);
});

test("a device that is lost while it is timed harms nobody", async () => {
  const cuts = new SubmitCuts(250);
  const lost = { onSubmittedWorkDone: () => Promise.reject(new Error("lost")) };
  let parts = 0;
  cuts.run(16, lost, () => parts++);
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(parts).toBe(2);
});
