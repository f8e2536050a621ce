/** @file Weights permuted by WebAssembly's vectors, beside a plain loop that shares no code with them. */
import { describe, expect, test } from "vitest";
import { fromF16Bits } from "../../engine/dtype.ts";
import { convLayout, type Layout, linearLayout } from "../../model/checkpoint/permute.ts";
import { SimdPermuter } from "../../model/checkpoint/permute-simd.ts";

const source = 2; // an odd address for vectors: files align nothing
const room = 1 << 20;

function permuter(inner: number): SimdPermuter {
  const simd = SimdPermuter.create(2 * room, inner);
  if (!simd) throw new Error("this runtime has no WebAssembly with vectors");
  return simd;
}

/** Halves in file order, in the permuter's memory. */
function place(simd: SimdPermuter, halves: ArrayLike<number>): Uint8Array {
  const bytes = new Uint8Array(simd.memory, source, halves.length * 2);
  new Uint16Array(simd.memory, source, halves.length).set(halves);
  return bytes;
}

const expectedHalf = (halves: ArrayLike<number>, index: number): number => halves[index]!;
const singleBits = new DataView(new ArrayBuffer(4));
function expectedSingle(halves: ArrayLike<number>, index: number): number {
  if (halves[index] === 0x8000) return 0x80000000; // as a number it would equal 0
  singleBits.setFloat32(0, fromF16Bits(halves[index]!));
  return singleBits.getUint32(0);
}

/** Every finite half once in a while, subnormals and both zeros among them. */
const finite = (count: number): Uint16Array =>
  Uint16Array.from({ length: count }, (_, i) => {
    const half = Math.imul(i + 1, 0x9e3779b1) >>> 16;
    return (half & 0x7c00) === 0x7c00 ? half & 0x83ff : half;
  });

interface Case {
  readonly name: string;
  readonly outputs: number;
  readonly first: number;
  readonly layout: Layout;
}
const cases: readonly Case[] = [
  { name: "linear", outputs: 16, first: 0, layout: linearLayout(16, 24) },
  { name: "more rows than a block, no multiple of it", outputs: 8, first: 0, layout: linearLayout(8, 1000) },
  { name: "3x3", outputs: 24, first: 0, layout: convLayout(24, 40, 9, 40) },
  { name: "3x3 with padded inputs, into a part of the columns", outputs: 8, first: 12, layout: convLayout(30, 8, 9, 20) },
  { name: "beside other outputs of a fused matrix, at an odd column", outputs: 32, first: 7, layout: linearLayout(50, 64) },
];

describe.each(cases)("$name", ({ outputs, first, layout }) => {
  const { inner, taps, inputs, width, size } = layout;
  const halves = finite(outputs * inner);

  test.each([
    ["f16", Uint16Array, expectedHalf],
    ["f32", Uint32Array, expectedSingle],
  ] as const)("to %s", (_, Bits, expectedAt) => {
    const simd = permuter(inner);
    const bytes = place(simd, halves);
    const target = new Bits(simd.memory, room, size).fill(0xabcd);
    expect(simd.suits(bytes, layout)).toBe(true);
    expect(simd.scatter(bytes, target, layout, first)).toBe(1);
    const expected = new Bits(size).fill(0xabcd);
    for (let output = 0; output < outputs; output++) {
      for (let j = 0; j < inner; j++) {
        const row = (j % taps) * inputs + Math.floor(j / taps);
        expected[row * width + first + output] = expectedAt(halves, output * inner + j);
      }
    }
    expect(target.findIndex((bits, at) => bits !== expected[at])).toBe(-1);
  });
});

test.each([0x7c00, 0xfc00, 0x7e00, 0xfc01])("the bits %i are told from finite numbers, wherever they stand", (half) => {
  const layout = linearLayout(16, 264);
  const simd = permuter(264);
  const target = new Uint16Array(simd.memory, room, layout.size);
  for (let at = 0; at < 16 * 264; at += 263) {
    const bytes = place(simd, new Uint16Array(16 * 264).fill(0x7bff));
    expect(simd.scatter(bytes, target, layout, 0)).toBe(1);
    new Uint16Array(simd.memory, source)[at] = half;
    expect(simd.scatter(bytes, target, layout, 0)).toBe(0x7f800000);
  }
});

test("zeros of both signs are zero, a single subnormal is not", () => {
  const layout = linearLayout(8, 16);
  const simd = permuter(16);
  const target = new Uint32Array(simd.memory, room, layout.size);
  const halves = Uint16Array.from({ length: 128 }, (_, i) => (i % 2) * 0x8000);
  expect(simd.scatter(place(simd, halves), target, layout, 0)).toBe(0);
  halves[77] = 0x8001;
  expect(simd.scatter(place(simd, halves), target, layout, 0)).toBe(1);
});

test("what is in no whole eights, or elsewhere in memory, is left to others", () => {
  const simd = permuter(24);
  const bytes = (count: number) => new Uint8Array(simd.memory, source, count);
  expect(simd.suits(bytes(2 * 8 * 24), linearLayout(8, 24))).toBe(true);
  expect(simd.suits(bytes(2 * 4 * 24), linearLayout(4, 24))).toBe(false);
  expect(simd.suits(bytes(2 * 8 * 20), linearLayout(8, 20))).toBe(false);
  expect(simd.suits(new Uint8Array(2 * 8 * 24), linearLayout(8, 24))).toBe(false);
});
