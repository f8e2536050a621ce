/**
 * @file What is being recorded as a capture, the captures that there are, and the memory of them all: a replay overwrites it, so no
 * ordinary tensor may live there.
 */
import { ActivationMemory } from "./activations.ts";
import { Capture, type Recorded } from "./capture.ts";
import type { Device } from "./device.ts";
import { LimnError } from "./errors.ts";
import type { Allocation, BufferFactory } from "./pool.ts";
import { allocationsIn, type ScopeStack } from "./scopes.ts";

export class Recordings {
  readonly memory: ActivationMemory;
  readonly #captures = new Set<Capture<unknown>>();
  #current: Recorded[] | undefined;

  constructor(buffers: BufferFactory) {
    this.memory = new ActivationMemory(buffers);
  }

  /** Whether launches belong to a capture now. */
  get isOn(): boolean {
    return this.#current !== undefined;
  }

  /** For what can't be recorded and would overtake what is. @throws LimnError IN_CAPTURE */
  expectOff(op: string): void {
    if (this.isOn)
      throw new LimnError("IN_CAPTURE", `${op}: a capture is being recorded, which holds launches and copies only`, {
        hint: "do it before or after the capture",
      });
  }

  /** Records a launch or a copy between these. */
  add(item: Recorded, allocations: readonly Allocation[]): void {
    this.#current?.push(item);
    for (const allocation of allocations) allocation.touch?.();
    this.memory.tick();
  }

  /** Runs `fn` with what it launches recorded. Gives back what it made if it throws. @throws LimnError NESTED_CAPTURE */
  capture<T>(device: Device, scopes: ScopeStack, fn: () => T): Capture<T> {
    if (this.#current) throw new LimnError("NESTED_CAPTURE", "capture: one is being recorded already");
    const recorded: Recorded[] = [];
    const begin = this.memory.mark();
    this.#current = recorded;
    const outcome = scopes.collect(fn);
    this.#current = undefined;
    if ("error" in outcome) {
      for (const allocation of outcome.made) allocation.release();
      this.memory.dropSince(begin);
      this.#clearIfUnused();
      throw outcome.error;
    }
    const returned = allocationsIn(outcome.result);
    const kept = outcome.made.filter((allocation) => returned.has(allocation));
    for (const allocation of outcome.made) if (!returned.has(allocation)) allocation.release();
    this.memory.keep(kept);
    const capture = new Capture(device, outcome.result, recorded, kept, () => {
      this.#captures.delete(capture);
      this.#clearIfUnused();
    });
    this.#captures.add(capture);
    return capture;
  }

  #clearIfUnused(): void {
    if (this.#captures.size === 0 && !this.isOn) this.memory.clear();
  }

  /** These allocations are about to lose their memory: captures that are bound to it build their bind groups again. */
  unbind(allocations: ReadonlySet<Allocation>): void {
    for (const capture of this.#captures) if (capture.binds(allocations)) capture.unbind();
  }

  /** The captures of now, to dispose of later ones. */
  mark(): ReadonlySet<Capture<unknown>> {
    return new Set(this.#captures);
  }

  disposeSince(mark: ReadonlySet<Capture<unknown>>): void {
    for (const capture of this.#captures) if (!mark.has(capture)) capture.dispose();
  }
}
