/** @file What a case is run on: seeded numbers, in copies that take turns, and the check of what comes out. */
import type { Device, DType, Tensor } from "../engine/index.ts";
import type { BenchCase } from "./operations.ts";
import { randomFill } from "./random-fill.ts";

/** Inputs of a case: seeded numbers in [-1, 1), made on the device. Vectors (norm gains) are f32. */
export function makeInputs(device: Device, benchCase: BenchCase, seed: number): Tensor[] {
  return benchCase.inputs.map((shape, i) => {
    const dtype: DType = shape.length === 1 ? "f32" : device.storage;
    const tensor = device.empty(shape, dtype, "bench input");
    randomFill(tensor, 1 / Math.sqrt(3), (seed << 24) + (i << 20));
    return tensor;
  });
}

/** More than any GPU's caches hold. */
const beyondCaches = 192e6;

/** Copies of the inputs and outputs of a case: so many that on a GPU no run finds its own in the caches. */
export function copiesOf({ isSoftware, storage }: Pick<Device, "isSoftware" | "storage">, { elements }: BenchCase): number {
  if (isSoftware) return 2;
  const bytes = elements * (storage === "f16" ? 2 : 4);
  return Math.min(32, Math.max(2, Math.ceil(beyondCaches / bytes)));
}

/** A case with its copies. */
export interface Rotation {
  /** The first copy of the inputs. */
  readonly inputs: readonly Tensor[];
  /** Runs a rung on copy i, and keeps what comes out until that copy's next turn. */
  run(i: number, rung: string): void;
  free(): void;
}

export function rotate(device: Device, benchCase: BenchCase): Rotation {
  const copies = Array.from({ length: copiesOf(device, benchCase) }, (_, i) => makeInputs(device, benchCase, i + 1));
  // A CPU's caches hold next to nothing of an output, and memory that is written for the first time costs it much.
  const kept = device.isSoftware ? 1 : copies.length;
  const outputs: Tensor[] = [];
  return {
    inputs: copies[0]!,
    run(i, rung) {
      outputs[i % kept]?.free();
      outputs[i % kept] = device.scope(() => benchCase.run(copies[i % copies.length]!, rung));
    },
    free() {
      for (const tensor of [...copies.flat(), ...outputs]) tensor.free();
    },
  };
}

/** Compares `samples` outputs with their f64 values; gives the largest error relative to the largest of them. */
export async function checkCase(
  benchCase: BenchCase,
  values: readonly Float32Array[],
  output: Tensor,
  samples = 24,
): Promise<number> {
  const actual = await output.read();
  const random = generator(7);
  let [error, largest] = [0, 0];
  for (let i = 0; i < samples; i++) {
    const index = Math.floor(((random() + 1) / 2) * actual.length);
    const expected = benchCase.expected(values, index);
    error = Math.max(error, Math.abs(actual[index]! - expected) || (Number.isNaN(actual[index]!) ? Number.POSITIVE_INFINITY : 0));
    largest = Math.max(largest, Math.abs(expected));
  }
  return error / largest;
}

/** A small seeded generator in [-1, 1) (mulberry32): which outputs are looked at needs no quality, only to be the same every time. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2147483648 - 1;
  };
}
