/**
 * @file What a picture of stable-diffusion.cpp says: A1111's form with keys of its own, and behind it from 2026 on a JSON object,
 * schema sdcpp.image.params/v1 (examples/common/common.cpp, get_image_params).
 */

import { findByName, schedules } from "../../model/sampling/schedule-table.ts";
import { type Infotext, parseInfotext } from "./infotext.ts";
import { integerOf, listOf, member, numberOf, parseJson, textOf } from "./json.ts";
import { emptyRecipe, type LoraReference, type PictureRecipe, type Settings } from "./recipe.ts";

const schema = "sdcpp.image.params/v1";
const mark = ", SDCPP: ";

/** Its samplers whose names are not among limn's. */
const samplerNames: Readonly<Record<string, string>> = {
  dpm2: "dpm_2",
  "dpm++2s_a": "dpmpp_2s_ancestral",
  "dpm++2m": "dpmpp_2m",
  "dpm++2mv2": "dpmpp_2m_v2",
  "dpm++2m_sde": "dpmpp_2m_sde",
  "dpm++2m_sde_bt": "dpmpp_2m_sde",
};

/** The recipe in a `parameters` text, or undefined where sd.cpp did not write it. */
export function sdcppRecipe(text: string): PictureRecipe | undefined {
  const json = jsonIn(text);
  if (json !== undefined) return fromJson(json);
  const infotext = parseInfotext(text);
  return infotext.values.get("Version")?.startsWith("stable-diffusion.cpp") ? fromLine(infotext) : undefined;
}

/** A prompt may hold the mark too, so the object is what parses up to the end of the text. */
function jsonIn(text: string): unknown {
  let at = text.indexOf(mark);
  for (let tries = 0; at >= 0 && tries < 8; tries++) {
    const value = parseJson(text.slice(at + mark.length));
    if (member(value, "schema") === schema) return value;
    at = text.indexOf(mark, at + 1);
  }
  return undefined;
}

function fromJson(json: unknown): PictureRecipe {
  const generator = member(json, "generator");
  const version = [textOf(member(generator, "version")), textOf(member(generator, "commit"))].filter(Boolean).join(" ");
  const sampling = member(json, "sampling");
  const guidance = member(sampling, "guidance");
  const prompt = member(json, "prompt");
  const models = member(json, "models");
  const named = (key: string) => {
    const name = textOf(member(models, key));
    return name === undefined ? undefined : { name };
  };
  const sigmas = listOf(member(sampling, "custom_sigmas")).flatMap((sigma) => numberOf(sigma) ?? []);
  const settings: Settings = {
    ...common({
      sampler: textOf(member(sampling, "method")),
      schedule: textOf(member(sampling, "scheduler")),
      rng: textOf(member(json, "rng")),
      clipSkip: numberOf(member(json, "clip_skip")),
      eta: numberOf(member(sampling, "eta")),
    }),
    steps: numberOf(member(sampling, "steps")),
    sigmas: sigmas.length > 0 ? sigmas.join(",") : undefined,
    guidance: numberOf(member(guidance, "txt_cfg")),
    seed: integerOf(member(json, "seed")),
    width: numberOf(member(json, "width")),
    height: numberOf(member(json, "height")),
    ...hires(member(json, "hires")),
  };
  const ignored = ["clip_l", "clip_g", "diffusion_model", "uncond_diffusion_model", "control_net", "taesd"];
  return {
    ...emptyRecipe("sdcpp", `stable-diffusion.cpp ${version}`.trim()),
    prompt: textOf(member(prompt, "positive")) ?? "",
    negative: textOf(member(prompt, "negative")) ?? "",
    settings,
    model: named("model"),
    vae: named("vae"),
    loras: listOf(member(json, "loras")).flatMap(lora),
    unknown: [
      ...(textOf(member(json, "mode")) === "img_gen" ? [] : [`mode: ${textOf(member(json, "mode"))}`]),
      ...ignored.flatMap((key) => (named(key) ? [`${key}: ${named(key)?.name}`] : [])),
      ...["adetailer", "cache", "vae_tiling"].filter((key) => member(json, key) !== undefined),
      "it does not say whether there was a picture to start from",
    ],
  };
}

function lora(entry: unknown): LoraReference[] {
  const name = textOf(member(entry, "name"));
  const strength = numberOf(member(entry, "multiplier"));
  return name === undefined || strength === undefined ? [] : [{ name, textEncoder: strength, unet: strength }];
}

function hires(json: unknown): Settings {
  if (member(json, "enabled") !== true) return {};
  const [width, height] = [numberOf(member(json, "target_width")), numberOf(member(json, "target_height"))];
  const steps = numberOf(member(json, "steps"));
  return {
    hiresScale: numberOf(member(json, "scale")),
    hiresResize: width && height ? `${width}x${height}` : undefined,
    hiresSteps: steps ? steps : undefined,
    hiresStrength: numberOf(member(json, "denoising_strength")),
    hiresUpscaler: textOf(member(json, "upscaler")),
  };
}

/** Versions before the JSON: "CFG scale: 7.000000", "Sampler: euler_a karras", no hashes. */
function fromLine({ prompt, negative, values }: Infotext): PictureRecipe {
  const [width, height] = (values.get("Size") ?? "").split("x").map((side) => numberOf(side));
  const [sampler, schedule] = (values.get("Sampler") ?? "").split(" ");
  const named = (key: string) => (values.get(key) ? { name: values.get(key) } : undefined);
  const read = [
    "Steps",
    "CFG scale",
    "Eta",
    "Seed",
    "Size",
    "Model",
    "RNG",
    "Sampler",
    "VAE",
    "Clip skip",
    "Version",
    "Guidance",
  ];
  return {
    ...emptyRecipe("sdcpp", values.get("Version") ?? "stable-diffusion.cpp"),
    prompt,
    negative,
    settings: {
      ...common({
        sampler,
        schedule,
        rng: values.get("RNG"),
        clipSkip: numberOf(values.get("Clip skip")),
        eta: numberOf(values.get("Eta")),
      }),
      steps: numberOf(values.get("Steps")),
      guidance: numberOf(values.get("CFG scale")),
      seed: integerOf(values.get("Seed")),
      width,
      height,
    },
    model: named("Model"),
    vae: named("VAE"),
    unknown: [...values].filter(([key]) => !read.includes(key)).map(([key, value]) => `${key}: ${value}`),
  };
}

interface Names {
  readonly sampler: string | undefined;
  readonly schedule: string | undefined;
  readonly rng: string | undefined;
  readonly clipSkip: number | undefined;
  readonly eta: number | undefined;
}

function common({ sampler, schedule, rng, clipSkip, eta }: Names): Settings {
  const known = schedule === undefined ? undefined : findByName(schedules, schedule);
  return {
    sampler: sampler === undefined ? undefined : Object.hasOwn(samplerNames, sampler) ? samplerNames[sampler] : sampler,
    schedule: known?.name ?? schedule,
    // "cuda" is its default; "std_default" is C++'s own generator, which nothing else has.
    rng: rng === "cpu" ? "cpu" : "philox",
    clipSkip: clipSkip !== undefined && clipSkip > 1 ? clipSkip : undefined,
    eta: eta !== undefined && eta >= 0 && eta <= 1 ? eta : undefined,
  };
}
