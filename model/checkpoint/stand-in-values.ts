/**
 * @file A stand-in's numbers: normally distributed F16, any range of them on its own. Element pair p of a tensor comes from a
 * hash of (seed, name, p), whose bits index two tables of quantiles of the normal distribution: no state, some hundred MB/s.
 */
import { floatBitsToHalf } from "./numbers.ts";
import type { StandInTensor } from "./stand-in-tensors.ts";

/** Quantiles in a table: 12 bits of the hash choose one. */
const levels = 4096;

/** Two words that tell this tensor's stream from all others. */
export interface StreamKey {
  readonly first: number;
  readonly second: number;
}

export function streamKey(seed: number, name: string): StreamKey {
  // FNV-1a over the name (tensors' names are ASCII), from a start that the seed chooses.
  let hash = mix(seed ^ 0x811c9dc5);
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return { first: mix(hash), second: mix(hash ^ 0x9e3779b9) };
}

/** Writes pairs begin..begin + out.length - 1 of a stream: two F16 in each word, the even element in the lower half. */
export function fillPairs(out: Uint32Array, begin: number, { first, second }: StreamKey, table: Uint16Array): void {
  for (let i = 0; i < out.length; i++) {
    // Two rounds of a multiply and a shift (as in murmur3's finaliser), a key before each.
    let h = Math.imul((begin + i) ^ first, 0x85ebca6b);
    h = Math.imul(h ^ (h >>> 15) ^ second, 0xc2b2ae35);
    h ^= h >>> 16;
    h = Math.imul(h, 0x7feb352d);
    out[i] = table[h >>> 20]! | (table[(h >>> 8) & 0xfff]! << 16);
  }
}

/** F16 bits of the quantiles of the tensor's distribution. */
export function valueTable({ role, shape }: StandInTensor): Uint16Array {
  const inputs = shape.slice(1).reduce((product, size) => product * size, 1);
  switch (role) {
    case "matrix":
      return tableOf(0, 1 / Math.sqrt(inputs));
    case "branch":
      // A U-Net adds up to a hundred branches: a quarter of each keeps the sum near 1.
      return tableOf(0, 0.25 / Math.sqrt(inputs));
    case "gain":
      return tableOf(1, 0.05);
    case "bias":
    case "embedding":
      return tableOf(0, 0.02);
    case "wideBias":
      return tableOf(0, 0.2);
    case "logitScale":
      return tableOf(Math.log(100), 0);
    case "positions":
      throw new RangeError("position ids are no random numbers");
  }
}

const tables = new Map<string, Uint16Array>();

function tableOf(mean: number, deviation: number): Uint16Array {
  const key = `${mean} ${deviation}`;
  let table = tables.get(key);
  if (table === undefined) {
    const words = new Uint32Array(Float32Array.from(normalQuantiles(), (z) => mean + deviation * z).buffer);
    table = Uint16Array.from(words, floatBitsToHalf);
    tables.set(key, table);
  }
  return table;
}

let quantiles: Float64Array | undefined;

/** z at the middle of each of `levels` equal shares of the standard normal distribution, by adding up its density. */
function normalQuantiles(): Float64Array {
  if (quantiles) return quantiles;
  quantiles = new Float64Array(levels);
  const step = 1e-4;
  let [share, z] = [0.5, 0];
  for (let level = levels / 2; level < levels; level++) {
    const wanted = (level + 0.5) / levels;
    while (share < wanted) {
      share += (step * Math.exp(-((z + step / 2) ** 2) / 2)) / Math.sqrt(2 * Math.PI);
      z += step;
    }
    quantiles[level] = z;
    quantiles[levels - 1 - level] = -z;
  }
  return quantiles;
}

function mix(word: number): number {
  let h = Math.imul(word ^ (word >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return h ^ (h >>> 16);
}
