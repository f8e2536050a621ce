/** @file Large weights, unpacked on the CPU (software tier) and on the GPU (the others): 8-bit formats and their factors too. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { toF16Bits } from "../../engine/dtype.ts";
import type { Device } from "../../engine/index.ts";
import { Checkpoint, type CheckpointOptions } from "../../model/checkpoint/checkpoint.ts";
import { byteBits } from "../../model/checkpoint/numbers.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import type { Weights } from "../../model/checkpoint/weights.ts";
import { createDevice } from "../kernels/harness.ts";
import { encode, open, safetensors, type TestTensor } from "./build-file.ts";

/** By definition (Micikevicius et al. 2022): e4m3fn has no infinity, e5m2 is the upper half of an F16. */
function eightBit(byte: number, dtype: "F8_E4M3" | "F8_E5M2"): number {
  const [mantissaBits, bias] = dtype === "F8_E4M3" ? [3, 7] : [2, 15];
  const sign = byte >> 7 === 0 ? 1 : -1;
  const exponent = (byte & 0x7f) >> mantissaBits;
  const mantissa = byte & (2 ** mantissaBits - 1);
  if (dtype === "F8_E4M3" && (byte & 0x7f) === 0x7f) return Number.NaN;
  if (dtype === "F8_E5M2" && exponent === 31) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa / 2 ** mantissaBits) * 2 ** (exponent - bias);
}

describe.each(["F8_E4M3", "F8_E5M2"] as const)("%s", (dtype) => {
  const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  const expected = [...all].map((byte) => eightBit(byte, dtype));
  test("all 256 values", async () => {
    expect([...new Float32Array(byteBits(dtype).buffer)]).toEqual(expected);
    const file = await open(safetensors([{ name: "t", dtype, shape: [256], bytes: all }]));
    expect([...(await readValues(file, "t"))]).toEqual(expected);
  });
  test("times a factor", () => {
    const scaled = [...new Float32Array(byteBits(dtype, 3).buffer)];
    expect(scaled).toEqual(expected.map((value) => value * 3));
  });
});

type Source = "F32" | "F16" | "BF16" | "F8_E4M3" | "F8_E5M2";
const sources: readonly Source[] = ["F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"];

/** Values that every format can hold, subnormals of the small ones too. */
function tensor(name: string, shape: readonly number[], dtype: Source, seed = 1): TestTensor & { values: Float32Array } {
  const count = shape.reduce((product, size) => product * size, 1);
  const bytes8 = Uint8Array.from({ length: count }, (_, i) => {
    const byte = Math.imul(i + seed, 0x9e3779b1) >>> 24;
    const finite = dtype === "F8_E5M2" ? (byte & 0x7c) !== 0x7c : (byte & 0x7f) !== 0x7f;
    return finite ? byte : 0x2a;
  });
  const values = Float32Array.from(bytes8, (byte) => eightBit(byte, dtype === "F8_E5M2" ? dtype : "F8_E4M3"));
  const bytes = dtype === "F8_E4M3" || dtype === "F8_E5M2" ? bytes8 : encode(values, dtype, toF16Bits);
  return { name, dtype, shape, values, bytes };
}

const up4 = (count: number): number => Math.ceil(count / 4) * 4;

/** File [O, I, taps] -> [taps, I, O padded]. */
function permuted(values: Float32Array, outputs: number, inputs: number, taps = 1): Float32Array {
  const result = new Float32Array(taps * inputs * up4(outputs));
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let tap = 0; tap < taps; tap++) result[(tap * inputs + i) * up4(outputs) + o] = values[(o * inputs + i) * taps + tap]!;
  return result;
}

describe.each(["software", "f32"] as const)("on the %s tier", (tier) => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice({ tier });
  });
  afterAll(() => device.close());

  async function build<T>(
    tensors: readonly TestTensor[],
    make: (weights: Weights) => T,
    use: (made: T, checkpoint: Checkpoint) => Promise<void>,
    options: CheckpointOptions = {},
  ): Promise<void> {
    // An odd byte first and an odd header: nothing is aligned.
    const odd: TestTensor = { name: "odd", dtype: "U8", shape: [1], bytes: Uint8Array.of(1) };
    const before = device.memory.liveBytes;
    const checkpoint = new Checkpoint(await open(safetensors([odd, ...tensors], {}, 1)), device, options);
    try {
      await use(await checkpoint.build(make), checkpoint);
    } finally {
      checkpoint.free();
    }
    expect(device.memory.liveBytes).toBe(before);
  }

  describe.each(sources)("from %s", (dtype) => {
    test.each(["f32", "f16"] as const)("to %s: linear, convolution, fused", async (weightDType) => {
      const linear = tensor("linear.weight", [150, 260], dtype);
      const conv = tensor("conv.weight", [66, 36, 3, 3], dtype, 5);
      const [q, k] = [tensor("q.weight", [64, 320], dtype, 7), tensor("k.weight", [32, 320], dtype, 9)];
      await build(
        [linear, k, conv, q],
        (weights) => ({
          linear: weights.at("linear").linear(),
          conv: weights.at("conv").conv(),
          qk: weights.concatLinear(["q.weight", "k.weight"]),
        }),
        async (made) => {
          expect(made.linear.dtype).toBe(weightDType);
          expect(await made.linear.read()).toEqual(permuted(linear.values, 150, 260));
          expect(await made.conv.read()).toEqual(permuted(conv.values, 66, 36, 9));
          expect(await made.qk.read()).toEqual(permuted(Float32Array.from([...q.values, ...k.values]), 96, 320));
        },
        { weightDType },
      );
    });
  });

  test.each([[[]], [[1]]])("scaled fp8: weight = fp8 * scale_weight %j", async (shape) => {
    const weight = tensor("a.weight", [128, 256], "F8_E4M3");
    const small = tensor("b.weight", [8, 16], "F8_E4M3");
    const factor = (name: string, value: number): TestTensor => ({
      name,
      dtype: "F32",
      shape,
      bytes: encode([value], "F32", toF16Bits),
    });
    const marks = [factor("scaled_fp8", 0), factor("a.scale_input", 1)];
    await build(
      [weight, factor("a.scale_weight", 0.75), small, factor("b.scale_weight", 3), ...marks],
      (weights) => [weights.at("a").linear(), weights.at("b").linear()] as const,
      async ([a, b], checkpoint) => {
        expect(await a.read()).toEqual(
          permuted(
            weight.values.map((value) => value * 0.75),
            128,
            256,
          ),
        );
        expect(await b.read()).toEqual(
          permuted(
            small.values.map((value) => value * 3),
            8,
            16,
          ),
        );
        expect(checkpoint.unused).toEqual(["odd"]);
      },
      { weightDType: "f32" },
    );
  });

  test("scaled fp8 with a factor for each row is refused", async () => {
    const scale = tensor("a.scale_weight", [8], "F32");
    const refused = build(
      [tensor("a.weight", [8, 16], "F8_E4M3"), scale],
      (weights) => weights.at("a").linear(),
      async () => {},
    );
    await expect(refused).rejects.toMatchObject({
      code: "CHECKPOINT_SHAPE",
      message: expect.stringContaining("expected one number"),
    });
  });

  test.each([
    ["F32", 0x7f, "NaN"],
    ["F16", 0x7c, "infinite"],
    ["F8_E4M3", 0x7f, "NaN"],
    ["F8_E5M2", 0xfc, "infinite"],
  ] as const)("row 20: %s with a byte of %i: names tensor and element", async (dtype, byte, what) => {
    const weight = tensor("a.weight", [128, 256], dtype);
    const size = weight.bytes.length / weight.values.length;
    const bytes = weight.bytes.slice();
    bytes.set(dtype === "F32" ? [0, 0, 0xc0, byte] : dtype === "F16" ? [0, byte] : [byte], 12_345 * size);
    const refused = build(
      [{ ...weight, bytes }],
      (weights) => weights.at("a").linear(),
      async () => {},
      { weightDType: "f16" },
    );
    await expect(refused).rejects.toMatchObject({
      code: "CHECKPOINT_NONFINITE",
      message: expect.stringContaining(`tensor "a.weight": element 12345 is ${what}`),
    });
  });

  test("infinities that are let through stay what they are, in f32 too", async () => {
    const weight = tensor("a.weight", [128, 256], "F16");
    const bytes = weight.bytes.slice();
    bytes.set([0, 0x7c], 2 * 777);
    bytes.set([0, 0xfc], 2 * 12_345);
    weight.values[777] = Number.POSITIVE_INFINITY;
    weight.values[12_345] = Number.NEGATIVE_INFINITY;
    await build(
      [{ ...weight, bytes }],
      (weights) => weights.at("a").linear(),
      async (made) => expect(await made.read()).toEqual(permuted(weight.values, 128, 256)),
      { weightDType: "f32", allowNonfinite: true },
    );
  });

  test("rows 21 and 22: values beyond f16 keep their tensor in f32, zeros are told", async () => {
    const large = tensor("large.weight", [128, 256], "F32");
    large.values[777] = 70_000;
    const bytes = encode(large.values, "F32", toF16Bits);
    const zero = { name: "zero.weight", dtype: "F16", shape: [128, 256], bytes: new Uint8Array(128 * 256 * 2) } as const;
    await build(
      [{ ...large, bytes }, zero],
      (weights) => [weights.at("large").linear(), weights.at("zero").linear()] as const,
      async ([a, b], checkpoint) => {
        expect([a.dtype, b.dtype]).toEqual(["f32", "f16"]);
        expect(await a.read()).toEqual(permuted(large.values, 128, 256));
        expect(checkpoint.warnings).toEqual([expect.stringMatching(/large\.weight.*65504/), "zero.weight: all zero"]);
      },
      { weightDType: "f16" },
    );
  });

  test("a tensor larger than one read, in pieces", async () => {
    const outputs = 4104;
    const weight = tensor("a.weight", [outputs, 2100], "F16"); // 17 MB
    await build(
      [weight],
      (weights) => weights.at("a").linear(),
      async (made) => {
        const [actual, expected] = [await made.read(), permuted(weight.values, outputs, 2100)];
        expect(actual.findIndex((value, i) => value !== expected[i])).toBe(-1);
      },
      { weightDType: "f32" },
    );
  });
});
