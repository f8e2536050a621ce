/** @file What a picture of the A1111 web UI says (v1.10.1, and older ones), and of the programs that write its form. */

import { contentLabels, emphasisLabels, zeroSnrLabel } from "./a1111-text.ts";
import type { Infotext } from "./infotext.ts";
import { integerOf, numberOf } from "./json.ts";
import { emptyRecipe, type FileReference, type PictureRecipe, type Settings } from "./recipe.ts";

/** The recipe, or undefined where the text has no parameters. */
export function a1111Recipe({ prompt, negative, values }: Infotext): PictureRecipe | undefined {
  if (values.size === 0) return undefined;
  const reader = new Reader(values);
  const settings = settingsOf(reader);
  const inpaint = ["Mask blur", "Mask mode", "Masked content", "Inpaint area"].some((key) => values.has(key));
  const hires = settings.hiresScale !== undefined || settings.hiresResize !== undefined;
  const recipe = {
    ...emptyRecipe(reader.isOwn ? "limn" : "a1111", generatorOf(reader.text("Version"))),
    command: inpaint ? "inpaint" : !hires && settings.strength !== undefined ? "img2img" : "txt2img",
    prompt: `${prompt}${hypernetworkTag(reader)}`,
    negative,
    settings,
    model: modelOf(reader.text("Model"), reader.text("Model hash")),
    vae: modelOf(reader.text("VAE"), reader.text("VAE hash")),
    refiner: titled(reader.text("Refiner")),
    loras: hashesOf(reader.text("Lora hashes"), "weights"),
    embeddings: hashesOf(reader.text("TI hashes"), "file"),
  } as const;
  return { ...recipe, unknown: [...oldVersion(values.get("Version")), ...reader.rest()] };
}

/** Values by key, and which of them nobody asked for. */
class Reader {
  readonly #values: ReadonlyMap<string, string>;
  readonly #read = new Set<string>();

  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  /** limn writes this text too, beside its own; where that was lost, limn's rules still hold. */
  get isOwn(): boolean {
    return this.#values.get("Version")?.startsWith("limn ") === true;
  }

  text(key: string): string | undefined {
    this.#read.add(key);
    return this.#values.get(key);
  }

  number(key: string): number | undefined {
    return numberOf(this.text(key));
  }

  size(key: string): string | undefined {
    const text = this.text(key);
    return text !== undefined && /^\d{1,6}x\d{1,6}$/.test(text) ? text : undefined;
  }

  rest(): string[] {
    return [...this.#values].filter(([key]) => !this.#read.has(key)).map(([key, value]) => `${key}: ${value}`);
  }
}

function settingsOf(reader: Reader): Settings {
  const [width, height] = reader.size("Size")?.split("x").map(Number) ?? [];
  const strength = reader.number("Denoising strength");
  const hiresResize = reader.size("Hires resize");
  const hiresScale = reader.number("Hires upscale");
  const hires = hiresScale !== undefined || (hiresResize !== undefined && hiresResize !== "0x0");
  const rng = reader.text("RNG") ?? "GPU";
  const clipSkip = reader.number("Clip skip");
  return {
    compat: reader.isOwn ? undefined : "a1111",
    rng: rng === "CPU" ? "cpu" : "philox",
    steps: reader.number("Steps"),
    sampler: reader.text("Sampler"),
    schedule: reader.text("Schedule type"),
    guidance: reader.number("CFG scale"),
    imageGuidance: reader.number("Image CFG scale"),
    seed: integerOf(reader.text("Seed")),
    width,
    height,
    variationSeed: integerOf(reader.text("Variation seed")),
    variationStrength: reader.number("Variation seed strength"),
    seedResize: reader.size("Seed resize from"),
    seedDelta: reader.number("ENSD"),
    clipSkip: clipSkip !== undefined && clipSkip > 1 ? clipSkip : undefined,
    emphasis: nameOf(emphasisLabels, reader.text("Emphasis")),
    oldEdits: (flag(reader.text("Old prompt editing timelines")) ?? isBefore(reader.text("Version"), 6)) || undefined,
    tiling: flag(reader.text("Tiling")),
    eta: reader.number("Eta") ?? reader.number("Eta DDIM"),
    churn: reader.number("Sigma churn"),
    churnMin: reader.number("Sigma tmin"),
    churnMax: reader.number("Sigma tmax"),
    noiseScale: reader.number("Sigma noise"),
    sigmaMin: reader.number("Schedule min sigma"),
    sigmaMax: reader.number("Schedule max sigma"),
    rho: reader.number("Schedule rho"),
    betaAlpha: reader.number("Beta schedule alpha"),
    betaBeta: reader.number("Beta schedule beta"),
    zeroSnr: reader.text("Noise Schedule") === zeroSnrLabel || undefined,
    discardPenultimate: flag(reader.text("Discard penultimate sigma")),
    refinerAt: reader.number("Refiner switch at"),
    strength: hires ? undefined : strength,
    ...masks(reader),
    ...(hires ? { hiresScale, hiresResize, hiresStrength: strength, ...hiresSettings(reader) } : {}),
  };
}

function masks(reader: Reader): Settings {
  const mode = reader.text("Mask mode");
  const blur = reader.number("Mask blur");
  const content = reader.text("Masked content");
  const area = reader.text("Inpaint area");
  const padding = reader.number("Masked area padding");
  if (mode === undefined && blur === undefined && content === undefined && area === undefined) return {};
  return {
    maskInvert: mode === "Inpaint not masked" || undefined,
    // It writes no blur of 0.
    maskBlur: blur ?? 0,
    fill: nameOf(contentLabels, content),
    onlyMasked: area === "Only masked" || undefined,
    padding,
  };
}

function hiresSettings(reader: Reader): Settings {
  const steps = reader.number("Hires steps");
  return {
    hiresSteps: steps === 0 ? undefined : steps,
    hiresUpscaler: reader.text("Hires upscaler"),
    hiresSampler: other(reader.text("Hires sampler"), "Use same sampler"),
    hiresSchedule: other(reader.text("Hires schedule type"), "Use same scheduler"),
    hiresPrompt: reader.text("Hires prompt") || undefined,
    hiresNegative: reader.text("Hires negative prompt") || undefined,
  };
}

function other(value: string | undefined, usual: string): string | undefined {
  return value === usual ? undefined : value;
}

function flag(value: string | undefined): boolean | undefined {
  return value?.toLowerCase() === "true" || undefined;
}

/** The name whose label this is. */
function nameOf(labels: Readonly<Record<string, string>>, label: string | undefined): string | undefined {
  return Object.entries(labels).find(([, text]) => text === label)?.[0];
}

/** A hash of 8 digits is of a part of the file, as it was before 2023. */
function modelOf(name: string | undefined, hash: string | undefined): FileReference | undefined {
  if (name === undefined && hash === undefined) return undefined;
  const digits = hash !== undefined && /^[0-9a-f]{8,64}$/i.test(hash) ? hash.toLowerCase() : undefined;
  return { name, hash: digits, hashed: digits?.length === 8 ? "part" : "file" };
}

/** "sd_xl_refiner_1.0 [7440042bbd]" */
function titled(title: string | undefined): FileReference | undefined {
  const [, name, hash] = /^(.*?)(?: \[([0-9a-f]{8,64})\])?$/i.exec(title ?? "") ?? [];
  return modelOf(name || undefined, hash);
}

/** "foo: 0123456789ab, bar: ba9876543210" */
function hashesOf(text: string | undefined, hashed: "weights" | "file"): FileReference[] {
  return [...(text ?? "").matchAll(/([^,:]{1,200}):\s*([0-9a-f]{8,64})\b/gi)].map(([, name = "", hash = ""]) => ({
    name: name.trim(),
    hash: hash.toLowerCase(),
    hashed,
  }));
}

/** Hypernetworks stood apart from the prompt once. */
function hypernetworkTag(reader: Reader): string {
  const name = reader.text("Hypernet");
  return name === undefined ? "" : `<hypernet:${name}:${reader.text("Hypernet strength") ?? "1.0"}>`;
}

function generatorOf(version: string | undefined): string {
  if (version === undefined) return "A1111 web UI";
  return /^v?\d/.test(version) ? `A1111 web UI ${version}` : version;
}

/** Whether a version of A1111 is older than 1.`minor`; its own notes are in modules/infotext_versions.py. */
function isBefore(version: string | undefined, minor: number): boolean {
  const match = /^v?(\d{1,4})\.(\d{1,4})/.exec(version ?? "");
  return match !== null && Number(match[1]) === 1 && Number(match[2]) < minor;
}

function oldVersion(version: string | undefined): string[] {
  return isBefore(version, 8) ? ["made before version 1.8, whose noise schedule was rounded to 16 bits"] : [];
}
