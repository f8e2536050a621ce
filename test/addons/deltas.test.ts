/** @file Every form of an adapter, merged on the GPU, against plain loops in f64. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LoraModel } from "../../model/addons/lora-match.ts";
import { LoraSet } from "../../model/addons/lora-set.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { closeTo } from "../kernels/close.ts";
import { createDevice } from "../kernels/harness.ts";
import { added, butterfly, dora, doraA1111, kron, lowRank, rotated, type Size, tucker } from "../oracle/lora.ts";
import { type AddonTensor, addon, openSmall, random, readWeight, scalar, smallSource } from "./small-model.ts";

/** f32 sums of up to a few hundred products; and one rounding of W itself. */
const tolerance = 1e-6;

/** A linear layer in the middle of a fused matrix, and a convolution. */
const linear = {
  key: "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k",
  weight: "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight",
  size: { outputs: 64, inputs: 64, taps: 1 },
};
const convolution = {
  key: "lora_unet_down_blocks_1_resnets_0_conv1",
  weight: "model.diffusion_model.input_blocks.4.0.in_layers.2.weight",
  size: { outputs: 128, inputs: 64, taps: 9 },
};
const places = [
  ["a linear layer", linear],
  ["a convolution", convolution],
] as const;

describe("merging", () => {
  let model: LoraModel;
  let set: LoraSet;
  beforeAll(async () => {
    const device = await createDevice({ precision: "f32" });
    model = await openSmall(device, smallSource("sd1"));
    set = new LoraSet(model);
  });
  afterAll(() => {
    model.checkpoint.free();
    model.checkpoint.device.close();
  });

  /** Merges an adapter of one module, and reads what became of its weight. */
  async function merged(
    { key, weight }: { key: string; weight: string },
    parts: Readonly<Record<string, AddonTensor>>,
    options: { unet?: number; rank?: number; dora?: "comfy" | "a1111" } = {},
  ): Promise<Float32Array> {
    const lora = await addon(Object.fromEntries(Object.entries(parts).map(([part, tensor]) => [`${key}.${part}`, tensor])));
    await set.apply([{ lora, text: 0, unet: options.unet ?? 0.7, rank: options.rank }], { dora: options.dora });
    return readWeight(model, weight);
  }
  const original = ({ weight }: { weight: string }) => readValues(model.checkpoint.file, weight);

  it.for(places)("LoRA of %s, rank 5", async ([, place]) => {
    const { outputs, inputs, taps } = place.size;
    const square = taps === 9 ? [3, 3] : [];
    const [up, down] = [random(outputs, 5, ...square.map(() => 1)), random(5, inputs, ...square)];
    const d = lowRank(up.values, down.values, 5, place.size);
    const w = await original(place);
    const parts = { "lora_up.weight": up, "lora_down.weight": down };
    closeTo(await merged(place, { ...parts, alpha: scalar(2) }), added(w, d, (0.7 * 2) / 5), tolerance);
    closeTo(await merged(place, parts), added(w, d, 0.7), tolerance, "without alpha: as if it were the rank");
    closeTo(
      await merged(place, { ...parts, alpha: scalar(2), scale: scalar(0.25) }),
      added(w, d, 0.7 * 0.25),
      tolerance,
      "scale",
    );
    closeTo(await merged(place, parts, { unet: -3 }), added(w, d, -3), tolerance, "negative strength");
  });

  it("LoRA with a sparse residual", async () => {
    const [up, down] = [random(64, 3), random(3, 64)];
    const d = lowRank(up.values, down.values, 3, linear.size);
    const [row, column] = [
      [0, 63, 5, 5],
      [1, 63, 0, 7],
    ];
    for (const n of [0, 1, 2, 3]) d[row[n]! * 64 + column[n]!]! += n + 1;
    const tensor = (shape: number[], values: number[]) => ({ shape, values: Float32Array.from(values) });
    const parts = {
      "lora_up.weight": up,
      "lora_down.weight": down,
      alpha: scalar(1),
      bias_indices: tensor([2, 4], [...row, ...column]),
      bias_values: tensor([4], [1, 2, 3, 4]),
      bias_size: tensor([2], [64, 64]),
    };
    closeTo(await merged(linear, parts), added(await original(linear), d, 0.7 / 3), tolerance);
    for (const wrong of [{ bias_size: tensor([2], [64, 65]) }, { bias_indices: tensor([2, 4], [0, 64, 5, 5, ...column]) }]) {
      await expect(merged(linear, { ...parts, ...wrong })).rejects.toMatchObject({ code: "LORA_SHAPE" });
    }
    const { bias_size: _, ...half } = parts;
    await expect(merged(linear, half)).rejects.toMatchObject({ code: "LORA_SHAPE" });
  });

  it("the first ranks of a LoRA only, at the scale of all", async () => {
    const [up, down] = [random(64, 6), random(6, 64)];
    const short = up.values.map((value, i) => (i % 6 < 2 ? value : 0));
    const d = lowRank(short, down.values, 6, linear.size);
    const parts = { "lora_up.weight": up, "lora_down.weight": down, alpha: scalar(3) };
    closeTo(await merged(linear, parts, { rank: 2 }), added(await original(linear), d, (0.7 * 3) / 6), tolerance);
  });

  it("LoRA with a core (Tucker, CP)", async () => {
    const [up, mid, down] = [random(128, 3, 1, 1), random(3, 5, 3, 3), random(5, 64, 1, 1)];
    const d = tucker((o, n) => up.values[o * 3 + n]!, mid.values, down.values, [3, 5], convolution.size);
    const parts = { "lora_up.weight": up, "lora_mid.weight": mid, "lora_down.weight": down, alpha: scalar(1) };
    closeTo(await merged(convolution, parts), added(await original(convolution), d, 0.7 / 5), tolerance);
  });

  it.for(places)("LoHa of %s", async ([, place]) => {
    const { outputs, inputs, taps } = place.size;
    const [a1, b1, a2, b2] = [random(outputs, 3), random(3, inputs * taps), random(outputs, 3), random(3, inputs * taps)];
    const [one, other] = [lowRank(a1.values, b1.values, 3, place.size), lowRank(a2.values, b2.values, 3, place.size)];
    const d = one.map((value, i) => value * other[i]!);
    const parts = { hada_w1_a: a1, hada_w1_b: b1, hada_w2_a: a2, hada_w2_b: b2, alpha: scalar(1.5) };
    closeTo(await merged(place, parts), added(await original(place), d, (0.7 * 1.5) / 3), tolerance);
  });

  it("LoHa with cores", async () => {
    const side = () => [random(3, 128), random(3, 64), random(3, 3, 3, 3)] as const;
    const [[a1, b1, t1], [a2, b2, t2]] = [side(), side()];
    const whole = (a: AddonTensor, b: AddonTensor, t: AddonTensor) =>
      tucker((o, n) => a.values[n * 128 + o]!, t.values, b.values, [3, 3], convolution.size);
    const [one, other] = [whole(a1, b1, t1), whole(a2, b2, t2)];
    const d = one.map((value, i) => value * other[i]!);
    const parts = { hada_w1_a: a1, hada_w1_b: b1, hada_t1: t1, hada_w2_a: a2, hada_w2_b: b2, hada_t2: t2 };
    closeTo(await merged(convolution, parts), added(await original(convolution), d, 0.7), tolerance);
  });

  it("LoKr of whole factors: alpha does not count", async () => {
    const [w1, w2] = [random(4, 2), random(16, 32)];
    const d = kron(w1.values, w2.values, [4, 2], linear.size);
    closeTo(
      await merged(linear, { lokr_w1: w1, lokr_w2: w2, alpha: scalar(9) }),
      added(await original(linear), d, 0.7),
      tolerance,
    );
  });

  it("LoKr of factored factors, on a convolution", async () => {
    const [w1a, w1b, w2a, w2b] = [random(8, 2), random(2, 4), random(16, 3), random(3, 16 * 9)];
    const w1 = lowRank(w1a.values, w1b.values, 2, { outputs: 8, inputs: 4, taps: 1 });
    const w2 = lowRank(w2a.values, w2b.values, 3, { outputs: 16, inputs: 16, taps: 9 });
    const d = kron(w1, w2, [8, 4], convolution.size);
    const parts = { lokr_w1_a: w1a, lokr_w1_b: w1b, lokr_w2_a: w2a, lokr_w2_b: w2b, alpha: scalar(2) };
    closeTo(await merged(convolution, parts), added(await original(convolution), d, (0.7 * 2) / 3), tolerance);
  });

  it("LoKr with a core", async () => {
    const [w1, a, b, t] = [random(8, 4), random(3, 16), random(3, 16), random(3, 3, 3, 3)];
    const w2 = tucker((o, n) => a.values[n * 16 + o]!, t.values, b.values, [3, 3], { outputs: 16, inputs: 16, taps: 9 });
    const d = kron(w1.values, w2, [8, 4], convolution.size);
    const parts = { lokr_w1: w1, lokr_w2_a: a, lokr_w2_b: b, lokr_t2: t, alpha: scalar(2) };
    closeTo(await merged(convolution, parts), added(await original(convolution), d, (0.7 * 2) / 3), tolerance);
  });

  it.for(places)("DoRA of %s, by outputs and by inputs, ComfyUI's and A1111's", async ([, place]) => {
    const { outputs, inputs, taps } = place.size;
    const square = taps === 9 ? [3, 3] : [];
    const ones = square.map(() => 1);
    const [up, down] = [random(outputs, 4, ...ones), random(4, inputs, ...square)];
    const d = lowRank(up.values, down.values, 4, place.size);
    const w = await original(place);
    const parts = { "lora_up.weight": up, "lora_down.weight": down, alpha: scalar(2) };
    for (const axis of ["output", "input"] as const) {
      // In a square weight the shape says which axis: [out, 1] or [1, in].
      const magnitude = axis === "output" ? random(outputs, 1, ...ones) : random(1, inputs, ...ones);
      const options = { scale: 0.5, strength: 0.7, magnitudes: magnitude.values, axis };
      const changed = { ...parts, dora_scale: magnitude };
      closeTo(await merged(place, changed), dora(w, d, options, place.size), 2e-6, axis);
      closeTo(await merged(place, changed, { dora: "a1111" }), doraA1111(w, d, options, place.size), 2e-6, `A1111, ${axis}`);
    }
  });

  it("(IA)3 along inputs and along outputs", async () => {
    const { outputs, inputs, taps } = convolution.size;
    const w = await original(convolution);
    for (const [onInput, count] of [
      [1, inputs],
      [0, outputs],
    ] as const) {
      const gains = random(count);
      const d = w.map(
        (value, at) => value * gains.values[onInput ? Math.floor(at / taps) % inputs : Math.floor(at / (inputs * taps))]!,
      );
      closeTo(await merged(convolution, { weight: gains, on_input: scalar(onInput) }), added(w, d, 0.7), tolerance);
    }
  });

  it("full differences of weight and bias, and a weight that is set", async () => {
    const [diff, shift] = [random(128, 64, 3, 3), random(128)];
    const w = await original(convolution);
    closeTo(await merged(convolution, { diff, diff_b: shift }), added(w, diff.values, 0.7), tolerance);
    const bias = convolution.weight.replace(/weight$/, "bias");
    closeTo(await readWeight(model, bias), added(await readValues(model.checkpoint.file, bias), shift.values, 0.7), tolerance);
    // Not a change but the weight itself, whatever the strength.
    closeTo(await merged(convolution, { set_weight: diff }), diff.values, tolerance);
  });

  it("norms", async () => {
    const norm = {
      key: "lora_unet_down_blocks_1_resnets_0_norm1",
      weight: "model.diffusion_model.input_blocks.4.0.in_layers.0.weight",
    };
    const [gain, shift] = [random(64), random(64)];
    closeTo(await merged(norm, { w_norm: gain, b_norm: shift }), added(await original(norm), gain.values, 0.7), tolerance);
    const bias = norm.weight.replace(/weight$/, "bias");
    closeTo(await readWeight(model, bias), added(await readValues(model.checkpoint.file, bias), shift.values, 0.7), tolerance);
  });

  it("GLoRA, older and newer", async () => {
    const w = await original(linear);
    const size = linear.size;
    const [tall, wide, tall2, wide2] = [random(64, 4), random(4, 64), random(64, 4), random(4, 64)];
    const seen = lowRank(w, tall.values, 64, { outputs: 64, inputs: 4, taps: 1 });
    const own = lowRank(tall2.values, wide2.values, 4, size);
    const d = added(own, lowRank(seen, wide.values, 4, size), 1);
    const expected = added(w, d, (0.7 * 2) / 4);
    const alpha = scalar(2);
    const older = { "a1.weight": wide, "a2.weight": tall, "b1.weight": wide2, "b2.weight": tall2, alpha };
    const newer = { "a1.weight": tall, "a2.weight": wide, "b1.weight": tall2, "b2.weight": wide2, alpha };
    // W times a factor of its own size: the sums are of larger numbers.
    closeTo(await merged(linear, older), expected, 4e-6, "older");
    closeTo(await merged(linear, newer), expected, 4e-6, "newer");
  });

  it.for(places)("OFT of %s", async ([, place]) => {
    const block = 8;
    const blocks = random(place.size.outputs / block, block, block);
    const small = { ...blocks, values: blocks.values.map((value) => value / 8) };
    const w = await original(place);
    const d = rotated(w, small.values, block, place.size);
    closeTo(await merged(place, { oft_blocks: small }), added(w, d, 0.7), tolerance);
    // A constraint above the norm changes nothing, one below it makes the turn smaller.
    closeTo(await merged(place, { oft_blocks: small, alpha: scalar(1e6) }), added(w, d, 0.7), tolerance, "constraint");
    const norm = Math.sqrt(skewNorm(small.values, block));
    const shrunk = small.values.map((value) => value / 2);
    const constrained = await merged(place, { oft_blocks: small, alpha: scalar(norm / 2) });
    closeTo(constrained, added(w, rotated(w, shrunk, block, place.size), 0.7), 2e-6, "half");
    // A1111 counts alpha for each output.
    const theirs = { oft_blocks: small, alpha: scalar(norm / 2 / place.size.outputs) };
    const held = await merged(place, theirs, { dora: "a1111" });
    closeTo(held, added(w, rotated(w, shrunk, block, place.size), 0.7), 2e-6, "half, A1111's");
    const rescale = random(place.size.outputs);
    const inner = place.size.inputs * place.size.taps;
    const change = added(w, d, 1).map((value, at) => value * rescale.values[Math.floor(at / inner)]! - w[at]!);
    closeTo(await merged(place, { oft_blocks: small, rescale }), added(w, change, 0.7), 2e-6, "rescale");
  });

  it.for(places)("BOFT of %s, one to four factors", async ([, place]) => {
    const w = await original(place);
    for (const [factors, block] of [
      [1, 2],
      [2, 16],
      [3, 6],
      [4, 8],
    ] as const) {
      const count = place.size.outputs / block;
      if (!Number.isInteger(count)) {
        const other = { oft_blocks: random(factors, Math.ceil(count), block, block) };
        await expect(merged(place, other)).rejects.toMatchObject({ code: "LORA_SHAPE" });
        continue;
      }
      const blocks = random(factors, count, block, block);
      const small = { ...blocks, values: blocks.values.map((value) => value / 8) };
      const d = butterfly(w, small.values, [factors, block], place.size);
      closeTo(await merged(place, { oft_blocks: small }), added(w, d, 0.7), 2e-6, `${factors} of ${block}`);
      const norm = Math.sqrt(skewNorm(small.values, block));
      const half = butterfly(
        w,
        small.values.map((value) => value / 2),
        [factors, block],
        place.size,
      );
      const held = { oft_blocks: small, alpha: scalar(norm / 2) };
      closeTo(await merged(place, held), added(w, half, 0.7), 2e-6, `${factors} of ${block}, constrained`);
    }
  });

  it("BOFT of more factors than the outputs have halves is refused", async () => {
    const place = linear; // 64 outputs: blocks of 8 go 8 apart at most
    const blocks = (factors: number) => ({ oft_blocks: random(factors, 8, 8, 8) });
    await expect(merged(place, blocks(5))).rejects.toMatchObject({ code: "LORA_SHAPE", message: /no BOFT can be made/ });
    await merged(place, blocks(4));
  });

  it("a LoRA of four input channels on nine (inpainting)", async () => {
    const inpaint = await openSmall(model.checkpoint.device, smallSource("sd1", { inChannels: 9 }));
    try {
      const [up, down] = [random(64, 4, 1, 1), random(4, 4, 3, 3)];
      const lora = await addon({ "lora_unet_conv_in.lora_up.weight": up, "lora_unet_conv_in.lora_down.weight": down });
      await new LoraSet(inpaint).apply([{ lora, text: 0, unet: 0.7 }]);
      const name = "model.diffusion_model.input_blocks.0.0.weight";
      const size: Size = { outputs: 64, inputs: 4, taps: 9 };
      const d = lowRank(up.values, down.values, 4, size);
      const w = await readValues(inpaint.checkpoint.file, name);
      const expected = Float64Array.from(w, (value, at) => {
        const [o, j] = [Math.floor(at / 81), at % 81];
        return j < 36 ? value + 0.7 * d[o * 36 + j]! : value;
      });
      closeTo(await readWeight(inpaint, name), expected, tolerance);
    } finally {
      inpaint.checkpoint.free();
    }
  });

  it("several, one after the other, and off again to the same bits", async () => {
    await set.apply([]);
    const before = await readWeight(model, linear.weight);
    expect(before).toEqual(await original(linear));
    const [up, down, magnitude] = [random(64, 4), random(4, 64), random(64, 1)];
    const keyed = (parts: Readonly<Record<string, AddonTensor>>) =>
      addon(Object.fromEntries(Object.entries(parts).map(([part, tensor]) => [`${linear.key}.${part}`, tensor])));
    const plain = await keyed({ "lora_up.weight": up, "lora_down.weight": down });
    const directed = await keyed({ "lora_up.weight": up, "lora_down.weight": down, dora_scale: magnitude });
    const d = lowRank(up.values, down.values, 4, linear.size);
    const options = { scale: 1, strength: 0.5, magnitudes: magnitude.values, axis: "output" } as const;
    await set.apply([
      { lora: plain, text: 0, unet: 0.7 },
      { lora: directed, text: 0, unet: 0.5 },
    ]);
    closeTo(await readWeight(model, linear.weight), dora(added(before, d, 0.7), d, options, linear.size), 2e-6);
    await set.apply([
      { lora: directed, text: 0, unet: 0.5 },
      { lora: plain, text: 0, unet: 0.7 },
    ]);
    closeTo(await readWeight(model, linear.weight), added(dora(before, d, options, linear.size), d, 0.7), 2e-6, "turned round");
    await set.apply([]);
    expect(await readWeight(model, linear.weight)).toEqual(before);
  });
});

/** Squared Frobenius norm of all B - B^T. */
function skewNorm(blocks: Float32Array, block: number): number {
  return blocks.reduce((sum, value, at) => {
    const [first, i, j] = [at - (at % (block * block)), Math.floor((at % (block * block)) / block), at % block];
    return sum + (value - blocks[first + j * block + i]!) ** 2;
  }, 0);
}
