/** @file Add-ons that are wrong, and ways to ask for them that are (faults 29 to 32). */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseLora } from "../../cli/syntax/loras.ts";
import { LimnError, ModelFileError, UsageError } from "../../engine/errors.ts";
import { type LoraModel, matchLora } from "../../model/addons/lora-match.ts";
import { requestedLoras } from "../../model/addons/lora-requests.ts";
import { LoraSet } from "../../model/addons/lora-set.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { planPrompts } from "../../model/text/prompt-rules.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { closeTo } from "../kernels/close.ts";
import { createDevice } from "../kernels/harness.ts";
import { added, lowRank } from "../oracle/lora.ts";
import { type AddonTensor, addon, openSmall, random, readWeight, scalar, smallSource } from "./small-model.ts";

async function refusal(promise: Promise<unknown> | (() => unknown)): Promise<LimnError> {
  const error = await (typeof promise === "function" ? Promise.resolve().then(promise) : promise).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof LimnError)) throw new Error(`expected a LimnError, got ${String(error)}`);
  expect(error.hint).toBeTruthy();
  return error;
}

const toK = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_k";
const weight = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight";
const size = { outputs: 64, inputs: 64, taps: 1 };

function pair(module: string, outputs = 64, inputs = 64, rank = 4): Record<string, AddonTensor> {
  return { [`${module}.lora_up.weight`]: random(outputs, rank), [`${module}.lora_down.weight`]: random(rank, inputs) };
}

describe("fault 29: strengths", () => {
  it.each([
    ["style.safetensors", { path: "style.safetensors", text: 1, unet: 1 }],
    ["style.safetensors:0.6", { path: "style.safetensors", text: 0.6, unet: 0.6 }],
    ["a b/style v1.5 [x].safetensors:-0.6:.8", { path: "a b/style v1.5 [x].safetensors", text: -0.6, unet: 0.8 }],
    ["C:\\loras\\style.safetensors:10:-10", { path: "C:\\loras\\style.safetensors", text: 10, unet: -10 }],
    ["style.pt:1e-1", { path: "style.pt", text: 0.1, unet: 0.1 }],
    ["link:0.5", { path: "link", text: 0.5, unet: 0.5 }],
    ["C:\\loras\\link", { path: "C:\\loras\\link", text: 1, unet: 1 }],
  ])("--lora %s", (text, expected) => {
    expect(parseLora(text)).toEqual(expected);
  });

  it.each([
    "style.safetensors:",
    "style.safetensors::0.5",
    "style.safetensors:NaN",
    "style.safetensors:1e9",
    "style.safetensors:1,0",
    "style.safetensors:10.01",
    "style.safetensors:0.5:-11",
    "style.safetensors:0.5:0.5:0.5",
    "style.safetensors:Infinity",
    "link:1e9",
    "",
  ])("--lora %j is refused", async (text) => {
    const error = await refusal(() => parseLora(text));
    expect([error.code, error instanceof UsageError]).toEqual(["INVALID_LORA", true]);
  });

  it.each(["", "NaN", "1e9", "1,0", "11", "-10.5"])("<lora:style:%s> is refused", async (text) => {
    const plan = () => planPrompts(new ClipTokenizer(), { prompt: `a fox <lora:style:${text}>`, negative: "" }, { calls: 1 }, {});
    const error = await refusal(plan);
    expect([error.code, error instanceof UsageError]).toEqual(["INVALID_PROMPT_TAG", true]);
  });

  it("a tag without a folder is an error that names the option", async () => {
    const plans = planPrompts(new ClipTokenizer(), { prompt: "a fox <lora:style:1>", negative: "" }, { calls: 1 }, {});
    const error = await refusal(requestedLoras({}, plans));
    expect([error.code, error instanceof UsageError]).toEqual(["LORA_DIR_MISSING", true]);
    expect(error.hint).toContain("--lora-dir");
  });
});

describe("with a model", () => {
  let model: LoraModel;
  let set: LoraSet;
  let original: Float32Array;
  beforeAll(async () => {
    const device = await createDevice({ precision: "f32" });
    model = await openSmall(device, smallSource("sd1"));
    set = new LoraSet(model);
    original = await readValues(model.checkpoint.file, weight);
  });
  afterAll(() => {
    model.checkpoint.free();
    model.checkpoint.device.close();
  });

  describe("fault 30: a LoRA for another model", () => {
    it.each([
      [768, "SD 1"],
      [1024, "SD 2"],
      [2048, "SDXL"],
    ])("reading contexts of %i numbers is for %s", async (width, family) => {
      const lora = await addon({ ...pair(toK), ...pair(toK.replace("attn1", "attn2"), 64, width) });
      const error = await refusal(() => matchLora(lora, model));
      expect([error.code, error instanceof ModelFileError]).toEqual(["LORA_WRONG_FAMILY", true]);
      expect(error.message).toContain(`this LoRA is for ${family}, the model is SD 1`);
      expect(error.message).toContain(`${width}`);
      expect(error.message).toContain("64");
    });

    it.each([
      ["LoHa", { hada_w1_a: random(64, 2), hada_w1_b: random(2, 768), hada_w2_a: random(64, 2), hada_w2_b: random(2, 768) }],
      ["LoKr", { lokr_w1: random(4, 8), lokr_w2: random(16, 96) }],
      ["full", { diff: random(64, 768) }],
    ] as const)("so is a %s", async (_, parts) => {
      const module = toK.replace("attn1", "attn2");
      const lora = await addon(Object.fromEntries(Object.entries(parts).map(([part, tensor]) => [`${module}.${part}`, tensor])));
      expect((await refusal(() => matchLora(lora, model))).code).toBe("LORA_WRONG_FAMILY");
    });

    it("of which nothing is in the model", async () => {
      const lora = await addon({
        ...pair("lora_unet_single_blocks_0_linear1"),
        ...pair("lora_te1_text_model_encoder_layers_0_mlp_fc1"),
      });
      const error = await refusal(set.apply([{ lora, text: 1, unet: 1 }]));
      expect([error.code, error instanceof ModelFileError, error.context]).toMatchObject([
        "LORA_NO_MATCH",
        true,
        { matched: 0, total: 2 },
      ]);
    });

    it("of which a part is in the model: the picture is made, and says so", async () => {
      const lora = await addon({ ...pair(toK), ...pair("lora_unet_no_such_module"), ...pair("lora_unet_nor_this") });
      const { warnings } = await set.apply([{ lora, text: 1, unet: 1 }]);
      expect(warnings).toEqual([expect.stringMatching(/mine\.safetensors: 1 of 3 modules .*lora_unet_no_such_module/)]);
      expect((await set.apply([{ lora, text: 1, unet: 1 }])).warnings, "told again of the next picture").toEqual(warnings);
      await set.apply([]);
    });

    it.each([
      ["outputs", pair(toK, 32, 64)],
      ["inputs", pair(toK, 64, 63)],
      ["ranks", { [`${toK}.lora_up.weight`]: random(64, 4), [`${toK}.lora_down.weight`]: random(8, 64) }],
      ["half a pair", { [`${toK}.lora_up.weight`]: random(64, 4) }],
      ["magnitudes", { ...pair(toK), [`${toK}.dora_scale`]: random(63, 1) }],
      ["a bias", { [`${toK.replace("_k", "_out_0")}.diff_b`]: random(63) }],
      ["(IA)3's vector", { [`${toK}.weight`]: random(63), [`${toK}.on_input`]: scalar(0) }],
      ["blocks", { [`${toK}.oft_blocks`]: random(3, 8, 8) }],
    ])("of other %s", async (_, tensors) => {
      const other = pair(toK.replace("attn1", "attn2"));
      const before = await readWeight(model, weight);
      const error = await refusal(set.apply([{ lora: await addon({ ...other, ...tensors }), text: 1, unet: 1 }]));
      expect([error.code, error instanceof ModelFileError, error.context]).toMatchObject([
        "LORA_SHAPE",
        true,
        { matched: 1, total: 2 },
      ]);
      expect(await readWeight(model, weight), "no weight has changed").toEqual(before);
    });
  });

  describe("fault 31: spellings and parts", () => {
    it("mixed spellings in one file are all understood", async () => {
      const lora = await addon({
        ...pair(toK),
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight": random(4, 64),
        "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight": random(64, 4),
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_v.lora_up.weight": random(64, 4),
        "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_v.lora_down.weight": random(4, 64),
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.up.weight": random(64, 4),
        "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora.down.weight": random(4, 64),
      });
      expect(matchLora(lora, model)).toMatchObject({ matched: 4, total: 4, warnings: [] });
    });

    it("an alpha in the metadata (PEFT) counts, for all modules and for one", async () => {
      const module = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k";
      const [down, up] = [random(4, 64), random(64, 4)];
      const d = lowRank(up.values, down.values, 4, size);
      const tensors = { [`${module}.lora_A.weight`]: down, [`${module}.lora_B.weight`]: up };
      for (const [stated, scale] of [
        [{ "unet.lora_alpha": 2 }, 0.5],
        [{ "unet.lora_alpha": 2, "unet.alpha_pattern": { "attn1.to_k": 6 } }, 1.5],
        [{ "unet.lora_alpha": 2, "unet.use_rslora": true }, 1],
        ["not an object", 1],
      ] as const) {
        const lora = await addon(tensors, { lora_adapter_metadata: JSON.stringify(stated) });
        await set.apply([{ lora, text: 1, unet: 1 }]);
        closeTo(await readWeight(model, weight), added(original, d, scale), 1e-6);
      }
      const broken = await addon(tensors, { lora_adapter_metadata: "{" });
      await set.apply([{ lora: broken, text: 1, unet: 1 }]);
      closeTo(await readWeight(model, weight), added(original, d, 1), 1e-6);
      await set.apply([]);
    });

    it("rank 0", async () => {
      const error = await refusal(set.apply([{ lora: await addon(pair(toK, 64, 64, 0)), text: 1, unet: 1 }]));
      expect(error.code).toMatch(/LORA_SHAPE|LORA_NO_MATCH/);
      expect(error).toBeInstanceOf(ModelFileError);
    });

    it.each(["lora_up.bias", "lora_sideways.weight", "bias_indicators", "lora_A.weight.more"])(
      "unknown part %s",
      async (part) => {
        const error = await refusal(addon({ ...pair(toK), [`${toK}.${part}`]: random(4, 4) }));
        expect([error.code, error instanceof ModelFileError]).toEqual(["LORA_UNKNOWN_PARTS", true]);
        expect(error.message).toContain(part);
        expect(error.context).toMatchObject({ count: 1 });
      },
    );

    it("two adapters in one file, as PEFT names them, are not mixed up", async () => {
      const module = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_k";
      const tensors = ["default", "other"].flatMap((name) => [
        [`${module}.lora_A.${name}.weight`, random(4, 64)] as const,
        [`${module}.lora_B.${name}.weight`, random(64, 4)] as const,
      ]);
      const error = await refusal(addon(Object.fromEntries(tensors)));
      expect([error.code, error.message]).toEqual(["LORA_DUPLICATE", expect.stringContaining("lora_A.other.weight")]);
    });

    it("a checkpoint, or anything else, is no LoRA", async () => {
      for (const name of ["model.diffusion_model.input_blocks.0.0.weight", "emb_params"]) {
        expect((await refusal(addon({ [name]: random(4, 4) }))).code).toBe("NOT_A_LORA");
      }
      expect((await refusal(addon({}))).code).toBe("NOT_A_LORA");
    });

    it("bundled embeddings are no unknown parts", async () => {
      const lora = await addon({ ...pair(toK), "bundle_emb.style.string_to_param.*": random(2, 64) });
      expect(matchLora(lora, model)).toMatchObject({ matched: 1, total: 1 });
    });

    it("numbers that are not finite, or become so", async () => {
      const [up, down] = [random(64, 4), random(4, 64)];
      up.values[7] = Number.NaN;
      const broken = await addon({ [`${toK}.lora_up.weight`]: up, [`${toK}.lora_down.weight`]: down });
      const error = await refusal(set.apply([{ lora: broken, text: 1, unet: 1 }]));
      expect([error.code, error instanceof ModelFileError]).toEqual(["LORA_NONFINITE", true]);
      // What the failed call left behind is made good by the next one.
      expect(await set.apply([])).toMatchObject({ changed: true });
      expect(await readWeight(model, weight)).toEqual(original);
    });
  });

  describe("fault 32: many", () => {
    it("the same LoRA twice counts with the sum of its strengths", async () => {
      const [up, down] = [random(64, 4), random(4, 64)];
      const lora = await addon({ [`${toK}.lora_up.weight`]: up, [`${toK}.lora_down.weight`]: down });
      await set.apply([
        { lora, text: 0, unet: 0.3 },
        { lora, text: 0, unet: 0.5 },
      ]);
      closeTo(await readWeight(model, weight), added(original, lowRank(up.values, down.values, 4, size), 0.8), 1e-6);
      await set.apply([]);
    });

    it("sixteen are merged, seventeen refused, a hundred times the same is one", async () => {
      const loras = await Promise.all(Array.from({ length: 17 }, () => addon(pair(toK))));
      const uses = loras.map((lora) => ({ lora, text: 0.1, unet: 0.1 }));
      await set.apply(uses.slice(0, 16));
      const error = await refusal(set.apply(uses));
      expect([error.code, error instanceof UsageError]).toEqual(["LORA_TOO_MANY", true]);
      await set.apply(Array.from({ length: 100 }, () => uses[0]!));
      await set.apply([]);
      expect(await readWeight(model, weight)).toEqual(original);
    });
  });

  it("stopped on the way, it goes on from a clean slate", async () => {
    const stop = new AbortController();
    const lora = await addon(pair(toK));
    stop.abort(new Error("enough"));
    await expect(set.apply([{ lora, text: 1, unet: 1 }], { signal: stop.signal })).rejects.toThrow("enough");
    await set.apply([]);
    expect(await readWeight(model, weight)).toEqual(original);
  });
});
