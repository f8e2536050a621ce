/** @file What recorded launches hold in memory: most bytes at once, and tensors that are larger than a binding may be. */
import type { Capture, Tensor } from "../../engine/index.ts";

type Allocation = Tensor["allocation"];
type Launch = Capture<unknown>["launches"][number];

/** A tensor that no binding can hold: kernels see a map in bands of rows, a weight in parts of its window or of its inputs. */
export interface SplitTensor {
  readonly kind: "map" | "weight";
  /** What its memory was taken for. */
  readonly label: string;
  readonly bytes: number;
  /** Bands of the kernel that cuts it finest. */
  readonly bands: number;
  /** Tensors like this one in the phase. */
  readonly count: number;
}

export interface LaunchMemory {
  /** Most bytes that the launches' tensors hold at once, from the first launch that binds each to the last. */
  readonly peakBytes: number;
  /** The largest of them. */
  readonly largestBytes: number;
  readonly splits: readonly SplitTensor[];
}

interface Life {
  readonly kind: "map" | "weight";
  readonly label: string;
  first: number;
  last: number;
  bytes: number;
  /** Offsets at which each kernel binds it. */
  readonly offsets: Map<string, Set<number>>;
}

/** @param isWeight tensors that hold their memory anyway, and count among the splits only */
export function launchMemory(
  launches: readonly Launch[],
  limit: number,
  isWeight: (memory: Allocation) => boolean,
): LaunchMemory {
  const lives = new Map<Allocation, Life>();
  for (const [i, { kernel, tensors }] of launches.entries()) {
    for (const tensor of tensors) {
      const life = lifeOf(lives, tensor.allocation, isWeight(tensor.allocation) ? "weight" : "map", i);
      life.last = i;
      life.bytes = Math.max(life.bytes, tensor.offset + tensor.bytes);
      const offsets = life.offsets.get(kernel.name) ?? new Set();
      life.offsets.set(kernel.name, offsets.add(tensor.offset));
    }
  }
  const all = [...lives.values()];
  const maps = all.filter(({ kind }) => kind === "map");
  return {
    peakBytes: mostAtOnce(maps),
    largestBytes: maps.reduce((most, { bytes }) => Math.max(most, bytes), 0),
    splits: splitsAmong(all.filter(({ bytes }) => bytes > limit)),
  };
}

function lifeOf(lives: Map<Allocation, Life>, memory: Allocation, kind: Life["kind"], now: number): Life {
  let life = lives.get(memory);
  if (life === undefined) {
    // Weights have a name each, and are told by their size.
    life = { kind, label: kind === "weight" ? "weight" : memory.label, first: now, last: now, bytes: 0, offsets: new Map() };
    lives.set(memory, life);
  }
  return life;
}

function mostAtOnce(lives: readonly Life[]): number {
  const changes = new Map<number, number>();
  for (const { first, last, bytes } of lives) {
    changes.set(first, (changes.get(first) ?? 0) + bytes);
    changes.set(last + 1, (changes.get(last + 1) ?? 0) - bytes);
  }
  let [now, most] = [0, 0];
  for (const [, change] of [...changes].sort(([a], [b]) => a - b)) {
    now += change;
    most = Math.max(most, now);
  }
  return most;
}

/** Tensors of one label and size as one row. */
function splitsAmong(lives: readonly Life[]): SplitTensor[] {
  const rows = new Map<string, SplitTensor>();
  for (const { kind, label, bytes, offsets } of lives) {
    const bands = Math.max(...[...offsets.values()].map(({ size }) => size));
    const row = rows.get(`${label} ${bytes}`) ?? { kind, label, bytes, bands: 0, count: 0 };
    rows.set(`${label} ${bytes}`, { ...row, bands: Math.max(row.bands, bands), count: row.count + 1 });
  }
  return [...rows.values()].sort((a, b) => b.bytes - a.bytes);
}
