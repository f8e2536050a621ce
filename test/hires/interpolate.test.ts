/** @file Latents of another size against torch's own numbers. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { type Interpolation, interpolate } from "../../model/hires/interpolate.ts";
import { closeTo } from "../kernels/close.ts";

const bytes = readFileSync(new URL("../fixtures/interpolate.safetensors", import.meta.url));
const file = await openSafetensors(new MemorySource(new Uint8Array(bytes), "interpolate.safetensors"));

function tensor(name: string) {
  const { shape, begin, end } = file.tensors.get(name)!;
  const values = new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer);
  return { values, size: { height: shape[1]!, width: shape[2]! } };
}

describe.each(["grow", "double", "shrink"])("%s", (name) => {
  test.each<[string, Interpolation]>([
    ["bilinear", { mode: "bilinear" }],
    ["bilinear.antialias", { mode: "bilinear", antialias: true }],
    ["bicubic", { mode: "bicubic" }],
    ["bicubic.antialias", { mode: "bicubic", antialias: true }],
    ["nearest", { mode: "nearest" }],
    ["nearest-exact", { mode: "nearest-exact" }],
  ])("%s", (mode, how) => {
    const [x, y] = [tensor(`${name}.x`), tensor(`${name}.${mode}`)];
    // torch computes places and weights in f32: a few units of 2^-24 of a sum of at most 16 products.
    closeTo(interpolate(x.values, x.size, y.size, how), y.values, mode.startsWith("nearest") ? 0 : 1e-6);
  });
});

test.each([
  // 41 * (32 / 82) and 20.5 * (32 / 82) are whole, but not in f32: torch 2.13's numbers.
  ["nearest", 41, 15],
  ["nearest-exact", 20, 7],
] as const)("%s: new place %i is the old one %i, as f32 rounds", (mode, place, old) => {
  const row = Float32Array.from({ length: 32 }, (_, i) => i);
  expect(interpolate(row, { width: 32, height: 1 }, { width: 82, height: 1 }, { mode })[place]).toBe(old);
});

test("the modes differ", () => {
  const all = [...file.tensors.keys()].filter((name) => name.startsWith("double."));
  expect(all.length).toBe(7);
});
