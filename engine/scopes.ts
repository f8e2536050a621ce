/** @file Scopes: who owns a tensor. It lives until the scope that made it ends, unless the scope returns it. */
import { LimnError } from "./errors.ts";
import type { Allocation } from "./pool.ts";
import { Tensor } from "./tensor.ts";

export class ScopeStack {
  readonly #scopes: Allocation[][] = [];

  /** Notes that the innermost scope made this; outside every scope it lives until it is freed by hand. */
  add(allocation: Allocation): void {
    this.#scopes.at(-1)?.push(allocation);
  }

  /** Runs `fn` in a scope of its own. */
  run<T>(fn: () => T): T {
    const made: Allocation[] = [];
    this.#scopes.push(made);
    let result: T | undefined;
    try {
      result = expectSynchronous(fn());
      return result;
    } finally {
      this.#scopes.pop();
      const kept = allocationsIn(result);
      // Newest first: the pool hands out what came back last, so the same work gets the same buffers when it is done again.
      for (const allocation of made.reverse()) {
        if (kept.has(allocation)) this.add(allocation);
        else allocation.release();
      }
    }
  }

  /** Runs `fn` and gives what it made and did not give back, also where it throws: the caller decides about it. */
  collect<T>(fn: () => T): { result: T; made: Allocation[] } | { error: unknown; made: Allocation[] } {
    const made: Allocation[] = [];
    this.#scopes.push(made);
    try {
      return { result: expectSynchronous(fn()), made };
    } catch (error) {
      return { error, made };
    } finally {
      this.#scopes.pop();
    }
  }
}

function expectSynchronous<T>(result: T): T {
  if (result instanceof Promise)
    throw new LimnError("ASYNC_SCOPE", "the function of a scope or capture must be synchronous, as operations only record");
  return result;
}

/** The memory behind every tensor in a result: a tensor, or arrays and plain records of them. */
export function allocationsIn(value: unknown, found = new Set<Allocation>()): Set<Allocation> {
  if (value instanceof Tensor) found.add(value.allocation);
  else if (Array.isArray(value)) for (const item of value) allocationsIn(item, found);
  else if (value !== null && typeof value === "object" && Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) allocationsIn(item, found);
  return found;
}
