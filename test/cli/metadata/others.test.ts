import { describe, expect, it } from "vitest";
import { recipeOf } from "../../../cli/metadata/recognise.ts";
import { fileArguments, toArguments } from "../../../cli/metadata/to-arguments.ts";
import { parseArguments } from "../../../cli/syntax/arguments.ts";
import { resolveSampling } from "../../../model/sampling/index.ts";

const read = (texts: Readonly<Record<string, string>>) => recipeOf(new Map(Object.entries(texts)));

/** A graph as ComfyUI writes it, with a seed that no double holds and the NaN of its `is_changed`. */
const graph = {
  "3": {
    class_type: "KSampler",
    inputs: {
      seed: 5,
      steps: 20,
      cfg: 8,
      sampler_name: "euler_ancestral",
      scheduler: "normal",
      denoise: 1,
      model: ["10", 0],
      positive: ["6", 0],
      negative: ["7", 0],
      latent_image: ["5", 0],
    },
  },
  "4": { class_type: "CheckpointLoaderSimple", inputs: { ckpt_name: "sd/v1-5.safetensors" } },
  "5": { class_type: "EmptyLatentImage", inputs: { width: 512, height: 768, batch_size: 1 } },
  "6": { class_type: "CLIPTextEncode", inputs: { text: ["12", 0], clip: ["11", 0] } },
  "7": { class_type: "CLIPTextEncode", inputs: { text: "blurry", clip: ["11", 0] } },
  "8": { class_type: "VAEDecode", inputs: { samples: ["3", 0], vae: ["13", 0] } },
  "9": { class_type: "SaveImage", inputs: { filename_prefix: "ComfyUI", images: ["8", 0] } },
  "10": {
    class_type: "LoraLoader",
    inputs: { lora_name: "foo.safetensors", strength_model: 0.8, strength_clip: 0.5, model: ["4", 0], clip: ["4", 1] },
  },
  "11": { class_type: "CLIPSetLastLayer", inputs: { stop_at_clip_layer: -2, clip: ["10", 1] } },
  "12": { class_type: "PrimitiveString", inputs: { value: "a (red:1.2) fox" } },
  "13": { class_type: "VAELoader", inputs: { vae_name: "kl.safetensors" } },
};
type Graph = Record<string, { class_type: string; inputs: Record<string, unknown> }>;

describe("ComfyUI's graph", () => {
  const comfy = (changes: Graph = {}) => read({ prompt: JSON.stringify({ ...graph, ...changes }), workflow: "{}" })!;
  const changed = (id: keyof typeof graph, inputs: Record<string, unknown>): Graph => ({
    [id]: { class_type: graph[id].class_type, inputs: { ...graph[id].inputs, ...inputs } },
  });

  it("is followed from the saved picture to the models", () => {
    const recipe = comfy();
    expect(recipe).toMatchObject({
      source: "comfy",
      command: "txt2img",
      prompt: "a (red:1.2) fox",
      negative: "blurry",
      model: { name: "v1-5.safetensors" },
      vae: { name: "kl.safetensors" },
      loras: [{ name: "foo.safetensors", unet: 0.8, textEncoder: 0.5 }],
      unknown: [],
    });
    expect(recipe.settings).toMatchObject({
      seed: 5n,
      steps: 20,
      guidance: 8,
      sampler: "euler_ancestral",
      schedule: "normal",
      width: 512,
      height: 768,
      clipSkip: 2,
      compat: "comfy",
    });
  });

  it("keeps seeds above 2^53, and reads Python's NaN", () => {
    const text = JSON.stringify({ ...graph, ...changed("3", { seed: "SEED" }) })
      .replace('"SEED"', "18446744073709551615")
      .replace('"class_type":"SaveImage"', '"is_changed":[NaN],"class_type":"SaveImage"');
    expect(read({ prompt: text })?.settings.seed).toBe(18446744073709551615n);
    const quoted = JSON.stringify({ ...graph, ...changed("12", { value: 'NaN "12345678901234567890" \\' }) });
    expect(read({ prompt: quoted })?.prompt).toBe('NaN "12345678901234567890" \\');
  });

  it("finds the picture to start from", () => {
    const recipe = comfy({
      ...changed("3", { latent_image: ["20", 0], denoise: 0.6 }),
      "20": { class_type: "VAEEncode", inputs: { pixels: ["21", 0], vae: ["4", 2] } },
      "21": { class_type: "LoadImage", inputs: { image: "cat.png" } },
    });
    expect(recipe).toMatchObject({ command: "img2img", init: { name: "cat.png" }, settings: { strength: 0.6 } });
  });

  it("takes a second sampler for the hires pass", () => {
    const recipe = comfy({
      ...changed("8", { samples: ["31", 0] }),
      "30": { class_type: "LatentUpscaleBy", inputs: { upscale_method: "bilinear", scale_by: 1.5, samples: ["3", 0] } },
      "31": {
        class_type: "KSampler",
        inputs: { ...graph["3"].inputs, seed: 6, steps: 12, denoise: 0.5, latent_image: ["30", 0] },
      },
    });
    expect(recipe.settings).toMatchObject({
      steps: 20,
      hiresScale: 1.5,
      hiresSteps: 12,
      hiresStrength: 0.5,
      hiresUpscaler: "Latent",
    });
    expect(recipe.unknown).toEqual(["the second pass has a seed of its own, 6"]);
  });

  it("says what a run of limn has no place for", () => {
    const { settings, unknown } = comfy({
      ...changed("5", { batch_size: 4 }),
      ...changed("3", { denoise: 0.9 }),
    });
    expect(settings).toMatchObject({ batch: 4, batchIndex: 0 });
    expect(unknown).toEqual([expect.stringContaining("4 pictures"), "denoise 0.9 without a picture"]);
  });

  const custom = (changes: Graph = {}): Graph => ({
    ...changed("8", { samples: ["50", 0] }),
    "50": {
      class_type: "SamplerCustomAdvanced",
      inputs: { noise: ["51", 0], guider: ["52", 0], sampler: ["53", 0], sigmas: ["54", 0], latent_image: ["5", 0] },
    },
    "51": { class_type: "RandomNoise", inputs: { noise_seed: 77 } },
    "52": { class_type: "CFGGuider", inputs: { model: ["10", 0], positive: ["6", 0], negative: ["7", 0], cfg: 5.5 } },
    "53": { class_type: "KSamplerSelect", inputs: { sampler_name: "dpm_2" } },
    "54": { class_type: "BetaSamplingScheduler", inputs: { steps: 12, alpha: 0.5, beta: 0.7, model: ["10", 0] } },
    ...changes,
  });

  it("reads samplers in parts: noise, guidance, sampler and noise levels in nodes of their own", () => {
    const recipe = comfy(custom());
    expect(recipe).toMatchObject({
      prompt: "a (red:1.2) fox",
      negative: "blurry",
      model: { name: "v1-5.safetensors" },
      unknown: [],
    });
    expect(recipe.loras).toHaveLength(1);
    expect(recipe.settings).toMatchObject({
      seed: 77n,
      steps: 12,
      guidance: 5.5,
      sampler: "dpm_2",
      schedule: "beta",
      width: 512,
    });
    // It takes the levels as they are: only a KSampler leaves one out.
    expect(recipe.settings).toMatchObject({ betaAlpha: 0.5, betaBeta: 0.7, discardPenultimate: false });
    const invocation = parseArguments(toArguments(recipe, fileArguments(recipe)), "1");
    expect(invocation).toMatchObject({ options: { betaAlpha: 0.5, betaBeta: 0.7, discardPenultimate: false, seed: 77n } });
  });

  it("reads what other nodes say of samplers and noise levels, and names those that limn has no word for", () => {
    const karras = { steps: 9, sigma_max: 14, sigma_min: 0.03, rho: 6 };
    const heun = { solver_type: "heun", eta: 0.9, s_noise: 1.01, noise_device: "gpu" };
    const first = comfy(
      custom({
        "50": {
          class_type: "SamplerCustom",
          inputs: {
            ...{ add_noise: true, noise_seed: 8, cfg: 4, model: ["10", 0], positive: ["6", 0], negative: ["7", 0] },
            ...{ sampler: ["53", 0], sigmas: ["54", 0], latent_image: ["5", 0] },
          },
        },
        "53": { class_type: "SamplerDPMPP_2M_SDE", inputs: heun },
        "54": { class_type: "KarrasScheduler", inputs: karras },
      }),
    );
    expect(first.settings).toMatchObject({ seed: 8n, guidance: 4, sampler: "dpmpp_2m_sde_heun", eta: 0.9, noiseScale: 1.01 });
    expect(first.settings).toMatchObject({ schedule: "karras", steps: 9, sigmaMax: 14, sigmaMin: 0.03, rho: 6 });
    const levels = (class_type: string, inputs: object) => comfy(custom({ "54": { class_type, inputs: { ...inputs } } }));
    expect(levels("AlignYourStepsScheduler", { model_type: "SDXL", steps: 10, denoise: 1 }).settings.schedule).toBe(
      "align_your_steps_sdxl",
    );
    expect(levels("GITSScheduler", { coeff: 1.2, steps: 10, denoise: 1 }).settings.schedule).toBe("gits");
    expect(levels("GITSScheduler", { coeff: 1.5, steps: 10, denoise: 1 }).unknown).toEqual(["node 54 (GITSScheduler)"]);
    expect(comfy(custom({ "53": { class_type: "__proto__", inputs: {} } })).unknown).toEqual(["node 53 (__proto__)"]);
    expect(comfy(custom({ "51": { class_type: "DisableNoise", inputs: {} } })).unknown).toEqual(["node 51 (DisableNoise)"]);
  });

  it("names the nodes in the way that it does not know, and goes on behind them", () => {
    const recipe = comfy({
      ...changed("3", { model: ["40", 0] }),
      "40": { class_type: "FreeU_V2", inputs: { b1: 1.3, model: ["10", 0] } },
    });
    expect(recipe.unknown).toEqual(["node 40 (FreeU_V2)"]);
    expect(recipe.model?.name).toBe("v1-5.safetensors");
    expect(recipe.loras).toHaveLength(1);
  });

  it("goes before what a node wrote for A1111", () => {
    const parameters = "a\nSteps: 1, Sampler: Euler, CFG scale: 1, Seed: 1";
    expect(read({ parameters, prompt: JSON.stringify(graph) })?.source).toBe("comfy");
    expect(read({ parameters, prompt: "a red fox" })?.source).toBe("a1111");
  });

  it("ends where links go round in circles or nowhere", () => {
    const circle = comfy({
      ...changed("3", { model: ["50", 0], positive: ["50", 0], latent_image: ["50", 0] }),
      "50": { class_type: "Reroute", inputs: { "": ["51", 0] } },
      "51": { class_type: "Reroute", inputs: { "": ["50", 0] } },
    });
    expect(circle).toMatchObject({ prompt: "", model: undefined });
    expect(comfy(changed("3", { model: ["nowhere", 0], positive: [] })).model).toBeUndefined();
  });
});

describe("stable-diffusion.cpp's text", () => {
  const line =
    "a red fox\nNegative prompt: blurry\nSteps: 28, CFG scale: 7.000000, Guidance: 3.500000, Eta: inf, Seed: 16124, Size: 512x768, " +
    "Model: v1-5.safetensors, RNG: cuda, Sampler: euler_a karras, VAE: kl.safetensors, Clip skip: 2, Version: stable-diffusion.cpp";
  const json = {
    schema: "sdcpp.image.params/v1",
    mode: "img_gen",
    generator: { name: "stable-diffusion.cpp", version: "1.0.0", commit: "abc123" },
    seed: 1375127038,
    width: 512,
    height: 768,
    prompt: { positive: "a f\u00fcchs, SDCPP: {}", negative: "blurry" },
    sampling: { steps: 30, eta: null, method: "dpm++2mv2", scheduler: "karras", guidance: { txt_cfg: 5 }, custom_sigmas: [] },
    models: { model: "v1-5.safetensors", vae: "kl.safetensors" },
    clip_skip: 2,
    strength: 0.75,
    rng: "cpu",
    loras: [{ name: "foo.safetensors", multiplier: 0.7 }],
  };

  it("is read from its line", () => {
    const recipe = read({ parameters: line })!;
    expect(recipe).toMatchObject({
      source: "sdcpp",
      prompt: "a red fox",
      negative: "blurry",
      model: { name: "v1-5.safetensors" },
    });
    expect(recipe.settings).toMatchObject({ steps: 28, guidance: 7, seed: 16124n, width: 512, height: 768, rng: "philox" });
    expect(recipe.settings).toMatchObject({ sampler: "euler_a", schedule: "karras", clipSkip: 2 });
    expect(recipe.settings.eta).toBeUndefined();
  });

  it("is read from its JSON, which is UTF-8 in a Latin-1 chunk, whatever the prompt holds", () => {
    const bytes = Buffer.from(`x, SDCPP: {\n${line.split("\n")[2]}, SDCPP: ${JSON.stringify(json)}`, "utf8").toString("latin1");
    const recipe = read({ parameters: bytes })!;
    expect(recipe).toMatchObject({
      generator: "stable-diffusion.cpp 1.0.0 abc123",
      prompt: "a f\u00fcchs, SDCPP: {}",
      vae: { name: "kl.safetensors" },
      loras: [{ name: "foo.safetensors", unet: 0.7, textEncoder: 0.7 }],
    });
    expect(recipe.settings).toMatchObject({
      seed: 1375127038n,
      steps: 30,
      sampler: "dpmpp_2m_v2",
      schedule: "karras",
      rng: "cpu",
      guidance: 5,
    });
    expect(recipe.settings.eta).toBeUndefined();
  });
});

describe("names of samplers and schedules", () => {
  const a1111 = {
    samplers:
      "DPM++ 2M|DPM++ SDE|DPM++ 2M SDE|DPM++ 2M SDE Heun|DPM++ 2S a|DPM++ 3M SDE|Euler a|Euler|LMS|Heun|DPM2|DPM2 a|DPM fast|DPM adaptive|Restart|DDIM|DDIM CFG++|PLMS|UniPC|LCM",
    schedules:
      "Automatic|Uniform|Karras|Exponential|Polyexponential|SGM Uniform|KL Optimal|Align Your Steps|Simple|Normal|DDIM|Beta",
  };
  const comfy = {
    samplers:
      "euler|euler_cfg_pp|euler_ancestral|euler_ancestral_cfg_pp|heun|dpm_2|dpm_2_ancestral|lms|dpm_fast|dpm_adaptive|dpmpp_2s_ancestral|dpmpp_sde|dpmpp_sde_gpu|dpmpp_2m|dpmpp_2m_sde|dpmpp_2m_sde_gpu|dpmpp_2m_sde_heun|dpmpp_3m_sde|dpmpp_3m_sde_gpu|ddpm|lcm|ipndm|deis|res_multistep|er_sde|ddim|uni_pc|uni_pc_bh2",
    schedules: "simple|sgm_uniform|karras|exponential|ddim_uniform|beta|normal|kl_optimal",
  };
  const sdcpp = {
    samplers:
      "euler|euler_a|heun|dpm2|dpm++2s_a|dpm++2m|dpm++2mv2|ipndm|lcm|ddim_trailing|tcd|res_multistep|er_sde|euler_cfg_pp|euler_a_cfg_pp|dpm++2m_sde|dpm++2m_sde_bt|lms",
    schedules: "discrete|karras|exponential|ays|gits|sgm_uniform|simple|kl_optimal|beta",
  };
  const pairs = ({ samplers, schedules }: typeof a1111) =>
    samplers.split("|").flatMap((sampler) => schedules.split("|").map((schedule) => [sampler, schedule] as const));

  it("of every program are limn's too", () => {
    for (const [sampler, schedule] of pairs(a1111)) {
      const text = `x\nSteps: 20, Sampler: ${sampler}, Schedule type: ${schedule}, CFG scale: 7, Seed: 1`;
      expect(resolveSampling(read({ parameters: text })!.settings).sampler.label).toBe(sampler);
    }
    for (const [sampler_name, scheduler] of pairs(comfy)) {
      const node = { ...graph["3"], inputs: { ...graph["3"].inputs, sampler_name, scheduler } };
      resolveSampling(read({ prompt: JSON.stringify({ ...graph, "3": node }) })!.settings);
    }
    for (const [sampler, schedule] of pairs(sdcpp)) {
      const text = `x\nSteps: 20, CFG scale: 7.0, Seed: 1, Sampler: ${sampler} ${schedule}, Version: stable-diffusion.cpp`;
      resolveSampling(read({ parameters: text })!.settings);
    }
  });
});

describe("the command that makes a picture again", () => {
  const parse = (texts: Readonly<Record<string, string>>) => {
    const recipe = read(texts)!;
    const invocation = parseArguments(toArguments(recipe, fileArguments(recipe)), "1");
    if (invocation.command !== "txt2img" && invocation.command !== "img2img" && invocation.command !== "inpaint")
      throw new Error();
    return invocation;
  };

  it("is one that limn takes, for everything that A1111 says", () => {
    const { options } = parse({
      parameters:
        "--a (red:1.2) fox\nNegative prompt: -blurry\nSteps: 20, Sampler: Euler a, Schedule type: Automatic, CFG scale: 7, Seed: 5, Size: 512x768, " +
        "Model: sd15, Variation seed: 9, Variation seed strength: 0.25, Seed resize from: 512x512, Denoising strength: 0.5, Clip skip: 2, " +
        "ENSD: 31337, Tiling: True, Hires prompt: big, Hires upscale: 2, Hires steps: 10, Hires upscaler: Latent (nearest-exact), " +
        "Emphasis: No norm, Noise Schedule: Zero Terminal SNR, Discard penultimate sigma: True, Schedule min sigma: 0.1, Schedule max sigma: 10, Schedule rho: 5, " +
        "Beta schedule alpha: 0.5, Beta schedule beta: 1, Eta: 0.5, Sigma churn: 1, Sigma tmin: 0.1, Sigma tmax: 9, Sigma noise: 1.01, Version: v1.5.0",
    });
    expect(options).toMatchObject({ prompt: "--a (red:1.2) fox", negative: "-blurry", model: "sd15", seed: 5n, compat: "a1111" });
    expect(options).toMatchObject({
      variation: { seed: 9n, strength: 0.25 },
      resizeFrom: { width: 512, height: 512 },
      seedDelta: 31337,
    });
    expect(options).toMatchObject({
      clipSkip: 2,
      tiling: true,
      emphasis: "no-norm",
      oldEdits: true,
      zeroTerminalSnr: true,
      discardPenultimate: true,
      rng: "philox",
    });
    expect(options).toMatchObject({
      sigmaMin: 0.1,
      sigmaMax: 10,
      rho: 5,
      betaAlpha: 0.5,
      betaBeta: 1,
      eta: 0.5,
      churn: 1,
      churnMin: 0.1,
      churnMax: 9,
      noiseScale: 1.01,
    });
    expect(options.hires).toMatchObject({ scale: 2, steps: 10, denoise: 0.5, upscaler: "Latent (nearest-exact)", prompt: "big" });
  });

  it("is one that limn takes, for inpainting and for ComfyUI", () => {
    const masked =
      "x\nSteps: 20, Sampler: DDIM, CFG scale: 7, Seed: 5, Size: 512x512, Denoising strength: 0.75, Mask blur: 4, Masked content: latent nothing";
    const recipe = read({ parameters: masked })!;
    const files = ["--init=a.png", "--mask=b.png"];
    expect(parseArguments(toArguments(recipe, files), "1")).toMatchObject({
      command: "inpaint",
      options: { init: "a.png", mask: "b.png", strength: 0.75, maskBlur: 4, fill: "nothing" },
    });
    const { options } = parse({ prompt: JSON.stringify(graph) });
    expect(options).toMatchObject({
      model: "v1-5.safetensors",
      vae: "kl.safetensors",
      compat: "comfy",
      clipSkip: 2,
      schedule: "normal",
    });
    expect(options.loras).toEqual([{ path: "foo.safetensors", text: 0.5, unet: 0.8 }]);
  });
});
