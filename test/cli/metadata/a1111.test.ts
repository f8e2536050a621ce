import { describe, expect, it } from "vitest";
import { a1111Recipe } from "../../../cli/metadata/a1111-recipe.ts";
import { formatParameters } from "../../../cli/metadata/a1111-text.ts";
import { parseInfotext } from "../../../cli/metadata/infotext.ts";
import { emptyRecipe, type PictureRecipe, type Settings } from "../../../cli/metadata/recipe.ts";

const settings: Settings = {
  steps: 20,
  sampler: "dpmpp_2m",
  schedule: "karras",
  guidance: 7,
  seed: 3n,
  width: 512,
  height: 768,
  rng: "cpu",
};
const plain: PictureRecipe = { ...emptyRecipe("limn", "limn 0.1.0"), prompt: "a red fox", settings };
const hash = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa";

function with_(changes: Partial<PictureRecipe>, more: Settings = {}): PictureRecipe {
  return { ...plain, ...changes, settings: { ...settings, ...more } };
}

describe("the text that A1111 writes", () => {
  it("has its order, with a key only where A1111 has one", () => {
    expect(formatParameters(plain)).toBe(
      "a red fox\nSteps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7, Seed: 3, Size: 512x768, RNG: CPU, Version: limn 0.1.0",
    );
    const all = with_(
      {
        prompt: "a (red:1.2) fox <lora:foo:0.8>",
        negative: "blurry",
        model: { name: "v1-5-pruned.safetensors", hash },
        vae: { name: "kl.safetensors", hash },
        loras: [{ name: "foo.safetensors", hash }],
        embeddings: [{ name: "ea,s:y.pt", hash }],
      },
      {
        sampler: "euler_a",
        schedule: undefined,
        variationSeed: 9n,
        variationStrength: 0.25,
        seedResize: "512x512",
        clipSkip: 2,
        seedDelta: 31337,
        rng: "philox",
        tiling: true,
        emphasis: "no-norm",
        eta: 0.5,
        noiseScale: 1.01,
        sigmaMin: 0.1,
        sigmaMax: 10,
        rho: 5,
        zeroSnr: true,
        discardPenultimate: true,
        hiresScale: 2,
        hiresSteps: 10,
        hiresStrength: 0.5,
        hiresUpscaler: "Latent",
        hiresSampler: "dpmpp_2m",
        hiresPrompt: "a fox: large",
      },
    );
    expect(formatParameters(all)).toBe(
      "a (red:1.2) fox <lora:foo:0.8>\nNegative prompt: blurry\n" +
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 3, Size: 512x768, Model hash: 6ce0161689, " +
        "Model: v1-5-pruned, VAE hash: 6ce0161689, VAE: kl.safetensors, Variation seed: 9, Variation seed strength: 0.25, " +
        "Seed resize from: 512x512, Denoising strength: 0.5, Clip skip: 2, ENSD: 31337, RNG: NV, Tiling: True, " +
        'Hires sampler: DPM++ 2M, Hires prompt: "a fox: large", Hires schedule type: Karras, Hires upscale: 2, Hires steps: 10, ' +
        'Hires upscaler: Latent, Lora hashes: "foo: 6ce0161689b3", TI hashes: "easy: 6ce0161689b3", Emphasis: No norm, ' +
        "Noise Schedule: Zero Terminal SNR, Discard penultimate sigma: True, Schedule min sigma: 0.1, Schedule max sigma: 10, Schedule rho: 5, Eta: 0.5, " +
        "Sigma noise: 1.01, Version: limn 0.1.0",
    );
  });

  it("says the image guidance of models that edit pictures", () => {
    expect(formatParameters(with_({}, { imageGuidance: 1.5 }))).toContain("CFG scale: 7, Image CFG scale: 1.5, Seed: 3");
  });

  it("writes what differs from A1111's defaults only", () => {
    const usual = formatParameters(
      with_(
        {},
        { clipSkip: 1, emphasis: "original", eta: 0, variationSeed: 4n, variationStrength: 0, seedDelta: 31337, noiseScale: 1 },
      ),
    );
    expect(usual).toBe(formatParameters(plain));
    // Weights have no effect on a prompt without any.
    expect(formatParameters(with_({}, { emphasis: "no-norm" }))).toBe(usual);
  });

  it("says a mask's settings", () => {
    const text = formatParameters(
      with_(
        { command: "inpaint" },
        { strength: 0.6, maskBlur: 4, maskInvert: true, fill: "noise", onlyMasked: true, padding: 16 },
      ),
    );
    expect(text).toContain(
      "Denoising strength: 0.6, RNG: CPU, Mask mode: Inpaint not masked, Mask blur: 4, Inpaint area: Only masked, " +
        "Masked area padding: 16, Masked content: latent noise, Version",
    );
  });

  it("keeps lines, seeds above 2^53, and quotes values with separators as JSON", () => {
    const text = formatParameters(
      with_({ prompt: "a\nb", model: { name: 'a, "b": c.safetensors' } }, { seed: 18446744073709551615n }),
    );
    expect(text.startsWith("a\nb\nSteps: 20")).toBe(true);
    expect(text).toContain("Seed: 18446744073709551615,");
    expect(text).toContain('Model: "a, \\"b\\": c", RNG');
  });

  it("puts networks that stand in no prompt into the prompt, where A1111 looks for them", () => {
    const loras = [
      { name: "foo.safetensors", textEncoder: 0.5, unet: 0.5 },
      { name: "bar.safetensors", textEncoder: 0, unet: 1 },
    ];
    const text = formatParameters(with_({ loras, hypernetworks: [{ name: "h.pt", textEncoder: 1, unet: 1 }] }));
    expect(text.split("\n")[0]).toBe("a red fox <lora:foo:0.5> <lora:bar:0:1> <hypernet:h:1>");
  });
});

describe("reading what A1111 writes", () => {
  const read = (text: string) => a1111Recipe(parseInfotext(text))!;
  const line = (rest: string) => read(`a fox\nSteps: 20, Sampler: Euler a, CFG scale: 7, ${rest}`);

  it("reads prompt, negative prompt and every value", () => {
    const recipe = read(
      "photo of a (red:1.2) fox, [day:night:0.5] <lora:foo:0.8>\nwith a hat\nNegative prompt: blurry,\nlowres\n" +
        "Steps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 965400086, Size: 512x768, Model hash: 6ce0161689, " +
        "Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: vae-ft-mse-840000.safetensors, Denoising strength: 0.5, Clip skip: 2, " +
        "ENSD: 31337, RNG: NV, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent, " +
        'Lora hashes: "foo: 0123456789ab, bar: ba9876543210", TI hashes: "easy: c74b4e810b03", Version: v1.10.1',
    );
    expect(recipe).toMatchObject({
      source: "a1111",
      generator: "A1111 web UI v1.10.1",
      command: "txt2img",
      prompt: "photo of a (red:1.2) fox, [day:night:0.5] <lora:foo:0.8>\nwith a hat",
      negative: "blurry,\nlowres",
      model: { name: "v1-5-pruned-emaonly", hash: "6ce0161689", hashed: "file" },
      vae: { name: "vae-ft-mse-840000.safetensors", hash: "735e4c3a44" },
      loras: [
        { name: "foo", hash: "0123456789ab", hashed: "weights" },
        { name: "bar", hash: "ba9876543210" },
      ],
      embeddings: [{ name: "easy", hash: "c74b4e810b03", hashed: "file" }],
      unknown: [],
    });
    expect(recipe.settings).toMatchObject({
      steps: 20,
      sampler: "Euler a",
      schedule: "Automatic",
      guidance: 7,
      seed: 965400086n,
      width: 512,
      height: 768,
      clipSkip: 2,
      seedDelta: 31337,
      rng: "philox",
      compat: "a1111",
      hiresScale: 2,
      hiresSteps: 10,
      hiresStrength: 0.5,
      hiresUpscaler: "Latent",
    });
    expect(recipe.settings.strength).toBeUndefined();
  });

  it("fills in what a missing key means", () => {
    const { settings: read } = line("Seed: 1, Size: 512x512, Model hash: 45dee52b");
    expect(read).toMatchObject({ rng: "philox", compat: "a1111" });
    expect(read.clipSkip).toBeUndefined();
    expect(line("Model hash: 45dee52b").model).toEqual({ name: undefined, hash: "45dee52b", hashed: "part" });
    expect(line("RNG: CPU").settings.rng).toBe("cpu");
  });

  it("tells img2img and inpaint apart", () => {
    expect(line("Denoising strength: 0.75").command).toBe("img2img");
    expect(line("Denoising strength: 0.75, Mask blur: 4")).toMatchObject({ command: "inpaint", settings: { maskBlur: 4 } });
    const masked = line(
      "Masked content: latent noise, Mask mode: Inpaint not masked, Inpaint area: Only masked, Masked area padding: 8",
    );
    expect(masked.settings).toMatchObject({ fill: "noise", maskInvert: true, onlyMasked: true, padding: 8, maskBlur: 0 });
  });

  it("takes a last line with fewer than three pairs for the prompt", () => {
    expect(parseInfotext("a fox\nsize: large, mood: calm")).toMatchObject({ prompt: "a fox\nsize: large, mood: calm" });
    expect(read("a fox\nsize: large")).toBeUndefined();
  });

  it("undoes JSON's quotes, and keeps what only looks quoted", () => {
    expect(line('Model: "a, \\"b\\": c\\n", Seed: 4')).toMatchObject({ model: { name: 'a, "b": c\n' }, settings: { seed: 4n } });
    expect(line('Model: "open, Seed: 4').model?.name).toBe('"open');
  });

  it("says what it does not take into account", () => {
    const { unknown } = line("Face restoration: CodeFormer, NGMS: 0.5, Version: v1.6.0-2-g4afaaf8a");
    expect(unknown).toEqual([expect.stringMatching(/1\.8.*16 bits/), "Face restoration: CodeFormer", "NGMS: 0.5"]);
  });

  it("knows that prompt editing was another before 1.6", () => {
    expect(line("Version: v1.5.2").settings.oldEdits).toBe(true);
    expect(line("Version: v1.10.0").settings.oldEdits).toBeUndefined();
  });

  it("puts a hypernetwork that stands apart into the prompt", () => {
    expect(line("Hypernet: anime, Hypernet strength: 0.5").prompt).toBe("a fox<hypernet:anime:0.5>");
  });

  it("has the shape of the schedule Beta, and its usual one too", () => {
    const shaped = formatParameters(with_({}, { schedule: "beta", betaAlpha: 0.5 }));
    expect(shaped).toContain("Schedule type: Beta, ");
    expect(shaped).toContain("Beta schedule alpha: 0.5, Beta schedule beta: 0.6");
    expect(read(shaped).settings).toMatchObject({ schedule: "Beta", betaAlpha: 0.5, betaBeta: 0.6 });
    const second = { hiresScale: 2, hiresUpscaler: "Latent", hiresSchedule: "beta" };
    expect(formatParameters(with_({}, second))).toContain("Beta schedule alpha: 0.6");
    expect(formatParameters(with_({}, { betaAlpha: 0.5 }))).not.toContain("Beta schedule");
  });

  it("reads back all that it writes", () => {
    const again = read(
      formatParameters(with_({ negative: "b" }, { variationSeed: 9n, variationStrength: 0.25, tiling: true, rho: 5 })),
    );
    expect(again.settings).toMatchObject({
      steps: 20,
      sampler: "DPM++ 2M",
      schedule: "Karras",
      seed: 3n,
      width: 512,
      height: 768,
    });
    expect(again.settings).toMatchObject({ rng: "cpu", variationSeed: 9n, variationStrength: 0.25, tiling: true, rho: 5 });
    expect(again.settings.compat).toBeUndefined();
    expect(again).toMatchObject({ generator: "limn 0.1.0", prompt: "a red fox", negative: "b", unknown: [] });
  });
});
