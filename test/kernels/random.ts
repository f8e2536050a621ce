/** @file Random inputs for tests. The seed is new in every run and stands in every failure; LIMN_TEST_SEED=N repeats a run. */
import { f16ToF32, f32ToF16 } from "../../engine/dtype.ts";

export const seed = Number(process.env["LIMN_TEST_SEED"] ?? Math.floor(Math.random() * 1e9));

let state = seed >>> 0;

/** Uniform in [0, 1): a 32-bit Weyl sequence through the murmur3 finaliser. */
export function uniform(): number {
  state = (state + 0x9e3779b9) >>> 0;
  let bits = state;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return ((bits ^ (bits >>> 16)) >>> 0) / 2 ** 32;
}

/** Normal numbers (Box and Muller 1958). */
export function normals(count: number, { mean = 0, std = 1 } = {}): Float32Array {
  return Float32Array.from(
    { length: count },
    () => mean + std * Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

/** What is left of the values in storage of this type: an oracle must start from the numbers that the kernel gets. */
export function stored(values: Float32Array, dtype: "f32" | "f16"): Float32Array {
  return dtype === "f16" ? f16ToF32(f32ToF16(values)) : values;
}
