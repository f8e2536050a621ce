/**
 * @file How a picture was made, whoever made it: what the readers of metadata give, what the writers take, and what a run is made
 * of again. Names of samplers and schedules are left as the source has them; what they mean is settled where they are used.
 */

export type Source = "limn" | "a1111" | "comfy" | "sdcpp";
export type PictureCommand = "txt2img" | "img2img" | "inpaint";

/** What was hashed: the whole file, what follows a safetensors header (LoRA in A1111), or 64 KiB at 1 MiB (A1111 before 2023). */
export type Hashed = "file" | "weights" | "part";

/** A file that the picture needs, as its metadata names it. */
export interface FileReference {
  readonly name?: string | undefined;
  /** As it was given to the command; only pictures to start from have one. */
  readonly path?: string | undefined;
  /** Hex digits from the start of a SHA-256. */
  readonly hash?: string | undefined;
  readonly hashed?: Hashed | undefined;
}

export interface LoraReference extends FileReference {
  /** The 12 digits that A1111 knows a LoRA by, where `hash` is another. */
  readonly shortHash?: string | undefined;
  /** Strengths; undefined where the prompt's tag says them. */
  readonly textEncoder?: number | undefined;
  readonly unet?: number | undefined;
}

/**
 * The kinds of all settings by name. `integer` is a bigint (seeds go to 2^64 - 1); numbers are finite.
 * A setting that is absent is the program's usual one.
 */
export const settingKinds = {
  steps: "number",
  sampler: "text",
  schedule: "text",
  /** Noise levels in the place of a schedule, joined by commas. */
  sigmas: "text",
  guidance: "number",
  imageGuidance: "number",
  guidanceRescale: "number",
  seed: "integer",
  width: "number",
  height: "number",
  /** cpu, philox or comfy. */
  rng: "text",
  /** a1111, comfy, diffusers or compvis. */
  compat: "text",
  seedDelta: "number",
  variationSeed: "integer",
  variationStrength: "number",
  /** WIDTHxHEIGHT. */
  seedResize: "text",
  /** Where one generator draws for a whole batch: how many pictures it had, and which this is, from 0. */
  batch: "number",
  batchIndex: "number",
  eta: "number",
  churn: "number",
  churnMin: "number",
  churnMax: "number",
  noiseScale: "number",
  sigmaMin: "number",
  sigmaMax: "number",
  rho: "number",
  /** Shape of the schedule beta, each 0.6 where it is not given. */
  betaAlpha: "number",
  betaBeta: "number",
  discardPenultimate: "flag",
  zeroSnr: "flag",
  /** SDXL: WIDTHxHEIGHT, TOP,LEFT and WIDTHxHEIGHT that the model is told. */
  originalSize: "text",
  crop: "text",
  targetSize: "text",
  /** eps or v. */
  prediction: "text",
  clipSkip: "number",
  /** original, no-norm, ignore or none. */
  emphasis: "text",
  commaBacktrack: "number",
  /** Prompt editing as A1111 did before 1.6. */
  oldEdits: "flag",
  tiling: "flag",
  /** Side of the VAE's tiles. */
  vaeTile: "number",
  /** f32 or f16, where it was asked for. */
  vaePrecision: "text",
  /** Where the refiner took over, 0..1. */
  refinerAt: "number",
  strength: "number",
  stepRule: "text",
  resizeMode: "text",
  /** #rrggbb, behind transparent parts of the picture to start from. */
  background: "text",
  maskInvert: "flag",
  maskBlur: "number",
  fill: "text",
  onlyMasked: "flag",
  padding: "number",
  hiresScale: "number",
  /** WIDTHxHEIGHT in the place of a scale. */
  hiresResize: "text",
  hiresSteps: "number",
  hiresStrength: "number",
  hiresUpscaler: "text",
  hiresSampler: "text",
  hiresSchedule: "text",
  hiresPrompt: "text",
  hiresNegative: "text",
  hiresGuidance: "number",
} as const;

export type SettingName = keyof typeof settingKinds;
interface ValueOfKind {
  readonly number: number;
  readonly text: string;
  readonly integer: bigint;
  readonly flag: boolean;
}
export type Settings = { readonly [Name in SettingName]?: ValueOfKind[(typeof settingKinds)[Name]] | undefined };

export const settingNames = Object.keys(settingKinds) as readonly SettingName[];

export interface PictureRecipe {
  readonly source: Source;
  /** Program and version, as far as the metadata says. */
  readonly generator: string;
  readonly command: PictureCommand;
  readonly prompt: string;
  readonly negative: string;
  readonly settings: Settings;
  readonly model?: FileReference | undefined;
  readonly vae?: FileReference | undefined;
  /** The model that made the last steps. */
  readonly refiner?: FileReference | undefined;
  readonly loras: readonly LoraReference[];
  readonly embeddings: readonly FileReference[];
  readonly hypernetworks: readonly LoraReference[];
  /** The network behind `hiresUpscaler`, if it is one. */
  readonly upscaler?: FileReference | undefined;
  /** The picture to start from, and the mask. */
  readonly init?: FileReference | undefined;
  readonly mask?: FileReference | undefined;
  /** The noise file in the place of the seed's. */
  readonly noise?: FileReference | undefined;
  /** The machine that made it: results are equal on the same tier and precision only. */
  readonly made?: { readonly tier: string; readonly precision: string; readonly adapter: string } | undefined;
  /** What the metadata says and nothing here takes into account, each in a few words. */
  readonly unknown: readonly string[];
}

/** The record without anything in it. */
export function emptyRecipe(source: Source, generator: string): PictureRecipe {
  return {
    source,
    generator,
    command: "txt2img",
    prompt: "",
    negative: "",
    settings: {},
    loras: [],
    embeddings: [],
    hypernetworks: [],
    unknown: [],
  };
}
