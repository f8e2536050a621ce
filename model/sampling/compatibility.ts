/** @file What `--compat` changes in seeds and steps: one table of rules, after the programs' own defaults. */

export type Compatibility = "a1111" | "comfy" | "diffusers" | "compvis";

/** Whose random numbers: torch on a CPU, torch on a CUDA device (A1111's "NV"), or ComfyUI's: the first draw CPU, the rest CUDA. */
export type NoiseSource = "cpu" | "philox" | "comfy";
export const noiseSources = ["cpu", "philox", "comfy"] as const satisfies readonly NoiseSource[];

export interface CompatibilityRules {
  readonly source: NoiseSource;
  /** A generator for each image, seeded seed + i; or one for the batch, which draws all images at once. */
  readonly generators: "image" | "batch";
  /** What a sigma between two training timesteps is told to the model as. */
  readonly timesteps: "fractional" | "whole";
  /** Which runs in k-space start from noise times sqrt(sigma^2 + 1), not sigma: those that begin at the model's largest sigma, or all. */
  readonly unitVarianceStart: "none" | "from-largest" | "all";
}

/** limn's own: A1111's steps with torch's CPU noise. */
export const ownRules: CompatibilityRules = {
  source: "cpu",
  generators: "image",
  timesteps: "fractional",
  unitVarianceStart: "none",
};

export const compatibilities: Readonly<Record<Compatibility, CompatibilityRules>> = {
  // "Random number generator source: GPU" is the default there, and "NV" gives the same numbers.
  a1111: { source: "philox", generators: "image", timesteps: "fractional", unitVarianceStart: "none" },
  comfy: { source: "comfy", generators: "batch", timesteps: "whole", unitVarianceStart: "from-largest" },
  // One torch.Generator("cpu") for a pipeline's call.
  diffusers: { source: "cpu", generators: "batch", timesteps: "fractional", unitVarianceStart: "all" },
  // scripts/txt2img.py seeds everything once and draws on the CUDA device.
  compvis: { source: "philox", generators: "batch", timesteps: "fractional", unitVarianceStart: "none" },
};

/** The rules of a program, or limn's own where none is named. */
export function rulesOf(compatibility: Compatibility | undefined): CompatibilityRules {
  return compatibility === undefined ? ownRules : compatibilities[compatibility];
}
