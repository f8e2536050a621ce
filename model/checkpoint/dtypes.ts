/** @file The number formats of the safetensors format, and which of them the models can use. */

/** Bits per element of every dtype that the format knows; names are case-sensitive. */
const bits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type FileDType = keyof typeof bits;
/** The dtypes that a weight of a model may have. */
export type WeightFileDType = keyof typeof weightBytes;

/** Bytes per element of those. F8_E4M3 is the variant without infinity (e4m3fn). */
const weightBytes = { F32: 4, F16: 2, BF16: 2, F8_E4M3: 1, F8_E5M2: 1 } as const;

const table: ReadonlyMap<string, number> = new Map(Object.entries(bits));
export const weightDTypes: readonly string[] = Object.keys(weightBytes);
export const knownDTypes: readonly string[] = [...table.keys()];

export function isFileDType(name: string): name is FileDType {
  return table.has(name);
}

export function isWeightDType(name: FileDType): name is WeightFileDType {
  return Object.hasOwn(weightBytes, name);
}

export function bitsOf(dtype: FileDType): number {
  return bits[dtype];
}

export function bytesOf(dtype: WeightFileDType): 1 | 2 | 4 {
  return weightBytes[dtype];
}
