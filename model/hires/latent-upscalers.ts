/** @file The A1111 web UI's ways to enlarge a latent (modules/shared.py, `latent_upscale_modes`), by name. */
import { UsageError } from "../../engine/errors.ts";
import type { Interpolation } from "./interpolate.ts";

export interface LatentUpscaler {
  /** The web UI's label. */
  readonly label: string;
  readonly how: Interpolation;
}

export const latentUpscalers: Readonly<Record<string, LatentUpscaler>> = {
  latent: { label: "Latent", how: { mode: "bilinear" } },
  "latent-antialiased": { label: "Latent (antialiased)", how: { mode: "bilinear", antialias: true } },
  "latent-bicubic": { label: "Latent (bicubic)", how: { mode: "bicubic" } },
  "latent-bicubic-antialiased": { label: "Latent (bicubic antialiased)", how: { mode: "bicubic", antialias: true } },
  "latent-nearest": { label: "Latent (nearest)", how: { mode: "nearest" } },
  "latent-nearest-exact": { label: "Latent (nearest-exact)", how: { mode: "nearest-exact" } },
};

/** By name or label; undefined for another word. */
export function findLatentUpscaler(name: string): LatentUpscaler | undefined {
  const plain = name
    .toLowerCase()
    .replace(/[^a-z]+/g, "-")
    .replace(/-$/, "");
  return Object.hasOwn(latentUpscalers, plain) ? latentUpscalers[plain] : undefined;
}

/** @throws UsageError UNKNOWN_UPSCALER */
export function latentUpscaler(name: string): LatentUpscaler {
  const found = findLatentUpscaler(name);
  if (found) return found;
  throw new UsageError("UNKNOWN_UPSCALER", `upscaler: there is no ${JSON.stringify(name)}`, {
    hint: `there are ${Object.keys(latentUpscalers).join(", ")}; those of pixels are given as objects`,
    context: { upscaler: name },
  });
}
