import { describe, expect, test } from "vitest";
import { fromF16Bits, toF16Bits } from "../../engine/dtype.ts";
import { as16, as32, floatBitsToHalf, halfBits } from "../../model/checkpoint/numbers.ts";
import { largestMagnitude } from "../../model/checkpoint/permute.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { open, safetensors } from "./build-file.ts";

const single = new Float32Array(1);
const word = new Uint32Array(single.buffer);
const bitsOf = (value: number): number => {
  single[0] = value;
  return word[0]!;
};

test("all 65,536 halves to F32 and back", () => {
  const table = halfBits();
  const wrong = Array.from({ length: 65_536 }, (_, half) => half).filter((half) => {
    word[0] = table[half]!;
    const back = floatBitsToHalf(table[half]!);
    const nan = (half & 0x7fff) > 0x7c00;
    return !Object.is(single[0], fromF16Bits(half)) || (nan ? !Number.isNaN(fromF16Bits(back)) : back !== half);
  });
  expect(wrong).toEqual([]);
});

test("F32 to F16 rounds as the engine's own conversion does", () => {
  const ties = [1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -25, 3 * 2 ** -25, 65519.99, 65520];
  const edges = [0, 65504, 65535, 65536, 1e9, 2 ** -14, 2 ** -24, 2 ** -25 * 1.0001, 2 ** -26, 6.1e-5, Number.POSITIVE_INFINITY];
  const steps = Array.from({ length: 100_000 }, (_, i) => 2 ** ((i % 45) - 28) * (1 + ((i * 2_654_435_761) % 4096) / 4096));
  const values = [...ties, ...edges, ...steps].flatMap((value) => [value, -value]);
  expect(values.filter((value) => floatBitsToHalf(bitsOf(value)) !== toF16Bits(value))).toEqual([]);
});

describe("largest magnitude", () => {
  test.each([
    ["zeros", [0, 0x8000, 0], 0],
    ["a subnormal", [0, 1, 0], 1],
    ["the largest finite, twice", [0x7bff, 0xfbff], 1],
    ["infinity in the low half", [0x7c00, 0], 0x7f800000],
    ["infinity in the high half", [0, 0xfc00], 0x7f800000],
    ["NaN at an odd end", [0x3c00, 0x3c00, 0x7e01], 0x7f800000],
  ])("of halves: %s", (_, halves, expected) => {
    expect(largestMagnitude(Uint16Array.from(halves), "F16")).toBe(expected);
    // The same at an odd place in memory.
    const shifted = Uint16Array.from([0x7c00, ...halves, 0x7c00]).subarray(1, 1 + halves.length);
    expect(largestMagnitude(shifted, "F16")).toBe(expected);
  });
  test("of F32 and BF16", () => {
    expect(largestMagnitude(Uint32Array.of(bitsOf(-3), bitsOf(2)), "F32")).toBe(bitsOf(3));
    expect(largestMagnitude(Uint16Array.of(0xc040, 0x3f80), "BF16")).toBe(bitsOf(3));
  });
});

test("elements of a Node buffer at an odd offset, whose slice() copies nothing", () => {
  const bytes = Buffer.concat([Buffer.from([9]), Buffer.from(Uint32Array.of(7, 0xfffffff0).buffer)]).subarray(1);
  const odd = Buffer.from(new ArrayBuffer(16), 3, 8);
  odd.set(bytes);
  expect([...as32(odd)]).toEqual([7, 0xfffffff0]);
  expect([...as16(odd)]).toEqual([7, 0, 0xfff0, 0xffff]);
});

test("row 16: values of every dtype, at an odd offset in the file", async () => {
  const bytes = (array: { buffer: ArrayBufferLike }): Uint8Array => new Uint8Array(array.buffer as ArrayBuffer);
  const tensors = [
    { name: "F32", dtype: "F32", shape: [2], bytes: bytes(Float32Array.of(1.5, -2)) },
    { name: "F16", dtype: "F16", shape: [2], bytes: bytes(Uint16Array.of(0x3e00, 0xc000)) },
    { name: "BF16", dtype: "BF16", shape: [2], bytes: bytes(Uint16Array.of(0x3fc0, 0xc000)) },
    { name: "F64", dtype: "F64", shape: [2], bytes: bytes(Float64Array.of(1.5, -2)) },
    { name: "I64", dtype: "I64", shape: [2], bytes: bytes(BigInt64Array.of(49407n, -2n)) },
    { name: "I32", dtype: "I32", shape: [2], bytes: bytes(Int32Array.of(49407, -2)) },
    { name: "U8", dtype: "U8", shape: [2], bytes: Uint8Array.of(7, 255) },
  ] as const;
  for (const pad of [0, 1, 2, 3]) {
    const file = await open(safetensors(tensors, {}, pad));
    for (const name of ["F32", "F16", "BF16", "F64"]) expect([...(await readValues(file, name))], name).toEqual([1.5, -2]);
    for (const name of ["I64", "I32"]) expect([...(await readValues(file, name))], name).toEqual([49407, -2]);
    expect([...(await readValues(file, "U8"))]).toEqual([7, 255]);
  }
});
