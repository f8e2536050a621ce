/** @file Element types of tensors, their sizes, and the conversions between f32 numbers and f16 bits. */

export type DType = "f32" | "f16" | "u32";

export const bytesPerElement: Readonly<Record<DType, number>> = { f32: 4, f16: 2, u32: 4 };

const scratch = new DataView(new ArrayBuffer(4));

/** The f16 bits nearest to `value` (round half to even; overflow gives infinity). IEEE 754-2008, binary16. */
export function toF16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more, infinity
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const exponent = (magnitude >>> 23) - 127;
  // A normal f16 keeps 10 bits of the mantissa; a subnormal one loses one more for each step below 2^-14.
  const dropped = exponent >= -14 ? 13 : 13 + (-14 - exponent);
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> dropped;
  const rest = mantissa & ((1 << dropped) - 1);
  const half = 1 << (dropped - 1);
  const rounded = kept + (rest > half || (rest === half && (kept & 1) === 1) ? 1 : 0);
  // A carry out of the mantissa moves into the exponent by itself.
  return sign | (exponent >= -14 ? ((exponent + 14) << 10) + rounded : rounded);
}

/** The number that f16 `bits` stand for. */
export function fromF16Bits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

let f16Table: Float32Array | undefined;

/** f16 bits to f32 numbers, through a table of all 65,536 values. */
export function f16ToF32(bits: Uint16Array): Float32Array {
  f16Table ??= Float32Array.from({ length: 65536 }, (_, i) => fromF16Bits(i));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = f16Table[bits[i]!]!;
  return values;
}

/** f32 numbers to f16 bits, rounded to the nearest even. */
export function f32ToF16(values: ArrayLike<number>): Uint16Array {
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) bits[i] = toF16Bits(values[i]!);
  return bits;
}
