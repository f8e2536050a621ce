/**
 * @file A Brownian path that can be asked for any of its increments: torchsde's BrownianTree, as k-diffusion's
 * BrownianTreeNoiseSampler uses it with sigma for time. However a run divides the path into steps, it is the same path.
 */

import type { Generator } from "./generator.ts";
import { seedSequence } from "./seed-sequence.ts";

const POOL_SIZE = 24;
/** Values of the path that are kept: a step's ends and its midpoint. */
const KEPT = 3;

export interface BrownianTreeOptions {
  readonly seed: bigint;
  /** Numbers in one value of the path. */
  readonly count: number;
  /** The times it spans; others are held at its ends. */
  readonly begin: number;
  readonly end: number;
  readonly makeGenerator: (seed: bigint) => Generator;
}

/** A node's place: the interval, the increment over it, and its number within its depth, which seed the halves. */
interface Node {
  readonly begin: number;
  readonly end: number;
  readonly increment: Float64Array;
  readonly index: number;
  readonly depth: number;
}

export class BrownianTree {
  readonly #options: BrownianTreeOptions;
  readonly #begin: number;
  readonly #end: number;
  readonly #values = new Map<number, Float64Array>();
  #root: Node | undefined;

  constructor(options: BrownianTreeOptions) {
    this.#options = options;
    // The originals keep times in float32.
    this.#begin = roundTime(Math.fround(options.begin));
    this.#end = roundTime(Math.fround(options.end));
  }

  /**
   * Unit noise of a step between two sigmas: (B(to) - B(from)) / sqrt(|to - from|), so that a step down gets the increment's negative.
   */
  between(from: number, to: number): Float32Array {
    const [t0, t1] = [Math.fround(from), Math.fround(to)];
    const [b0, b1] = [this.#valueAt(t0), this.#valueAt(t1)];
    const scale = 1 / Math.sqrt(Math.abs(t1 - t0));
    return Float32Array.from(b1, (value, i) => (value - b0[i]!) * scale);
  }

  /** B(t) - B(begin), by descending to the border that t is. */
  #valueAt(time: number): Float64Array {
    const t = Math.min(Math.max(roundTime(time), this.#begin), this.#end);
    const known = this.#values.get(t);
    if (known !== undefined) return known;
    const value = new Float64Array(this.#options.count);
    let node = this.#rootNode();
    while (t !== node.begin) {
      if (t === node.end) {
        add(value, node.increment);
        break;
      }
      const [left, right] = this.#halves(node);
      if (t >= left.end) add(value, left.increment);
      node = t < left.end ? left : right;
    }
    const [oldest] = this.#values.keys();
    if (this.#values.size === KEPT && oldest !== undefined) this.#values.delete(oldest);
    this.#values.set(t, value);
    return value;
  }

  /** W(begin, end) = sqrt(end - begin) z. */
  #rootNode(): Node {
    const [begin, end] = [this.#begin, this.#end];
    this.#root ??= {
      begin,
      end,
      index: 0,
      depth: 0,
      increment: Float64Array.from(this.#normals([], 3), (z) => Math.sqrt(end - begin) * z),
    };
    return this.#root;
  }

  /** The Brownian bridge at the middle m: W(a, m) = (m - a)/(b - a) W + sqrt((m - a)(b - m)/(b - a)) z,  W(m, b) = W - W(a, m). */
  #halves({ begin, end, increment, index, depth }: Node): [Node, Node] {
    const middle = roundTime((begin + end) / 2);
    const share = (middle - begin) / (end - begin);
    const deviation = Math.sqrt(((middle - begin) * (end - middle)) / (end - begin));
    const normals = this.#normals([index, depth], 4);
    const left = increment.map((value, i) => share * value + deviation * normals[i]!);
    const right = increment.map((value, i) => value - left[i]!);
    return [
      { begin, end: middle, increment: left, index: 2 * index, depth: depth + 1 },
      { begin: middle, end, increment: right, index: 2 * index + 1, depth: depth + 1 },
    ];
  }

  /** Fresh normals of the node with this spawn key; `words` is how many numpy is asked for, of which the first counts. */
  #normals(spawnKey: readonly number[], words: number): Float32Array {
    const { seed, count, makeGenerator } = this.#options;
    const [word] = seedSequence(seed, spawnKey, { poolSize: POOL_SIZE, count: words });
    return makeGenerator(BigInt(word!)).randn(count);
  }
}

function add(sum: Float64Array, values: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + values[i]!;
}

/** Python's round(t, 6): to the nearest, and of two equally near to the even one (which only odd multiples of 1/128 have). */
export function roundTime(time: number): number {
  const isTie = Math.abs((time * 128) % 2) === 1;
  if (!isTie) return Number(time.toFixed(6));
  const below = Math.floor(time * 1e6);
  return (below % 2 === 0 ? below : below + 1) / 1e6;
}
