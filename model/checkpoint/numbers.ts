/** @file Conversions between the number formats of weights, on raw bits: F8, F16, BF16 and F32. */

/** F32 bits of each of the 65,536 F16 values; built on first use (256 kB). */
let halfTable: Uint32Array | undefined;

function halfToFloatBits(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 0x3ff;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  // Subnormal: shift the leading one up to the hidden bit.
  const shift = Math.clz32(fraction) - 21;
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 0x3ff) << 13);
}

export function halfBits(): Uint32Array {
  if (halfTable === undefined) {
    halfTable = new Uint32Array(65_536);
    for (let half = 0; half < 65_536; half++) halfTable[half] = halfToFloatBits(half);
  }
  return halfTable;
}

/** F32 bits of each of the 256 values of an 8-bit format, times `scale`; NaN and infinity stay what they are. */
export function byteBits(dtype: "F8_E4M3" | "F8_E5M2", scale = 1): Uint32Array {
  const bits = Uint32Array.from({ length: 256 }, (_, byte) =>
    dtype === "F8_E5M2" ? halfToFloatBits(byte << 8) : e4m3ToFloatBits(byte),
  );
  if (scale === 1) return bits;
  const values = new Float32Array(bits.buffer);
  for (let i = 0; i < 256; i++) if (Number.isFinite(values[i])) values[i] = values[i]! * scale;
  return bits;
}

/** No infinity: the largest magnitude is NaN. */
function e4m3ToFloatBits(byte: number): number {
  const sign = (byte & 0x80) << 24;
  const magnitude = byte & 0x7f;
  if (magnitude === 0x7f) return sign | 0x7fc00000;
  if (magnitude >= 8) return sign | ((magnitude << 20) + 0x3c000000);
  const shift = Math.clz32(magnitude) - 28; // subnormal: magnitude * 2^-9
  return magnitude === 0 ? sign : sign | ((121 - shift) << 23) | (((magnitude << shift) & 7) << 20);
}

/** F16 bits of F32 bits, rounded to nearest, ties to even; above the range infinity, NaN stays NaN. */
export function floatBitsToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00); // 65536 and up, Inf, NaN
  if (magnitude >= 0x38800000) {
    // Normal in F16. A carry out of the fraction runs into the exponent, which is the right result (65520 gives infinity).
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  }
  if (magnitude < 0x33000000) return sign; // below half of the smallest subnormal
  const shift = 126 - (magnitude >> 23);
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  return sign | ((fraction + (1 << (shift - 1)) - 1 + ((fraction >> shift) & 1)) >> shift);
}

/** `source` as elements of a view, copied if its bytes are not aligned (an odd header length is allowed). */
export function as16(source: Uint8Array): Uint16Array {
  const bytes = source.byteOffset % 2 === 0 ? source : new Uint8Array(source); // Node's Buffer.slice copies nothing
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 1);
}

export function as32(source: Uint8Array): Uint32Array {
  const bytes = source.byteOffset % 4 === 0 ? source : new Uint8Array(source);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
}
