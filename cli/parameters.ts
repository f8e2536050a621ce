/**
 * @file The text that the A1111 web UI writes into its pictures (modules/processing.py, create_infotext) and most tools read:
 * prompt, negative prompt, one line of `Key: value`. Order and quoting are its.
 */

import type { MaskedContent } from "../model/inpaint.ts";

export interface Parameters {
  readonly prompt: string;
  readonly negative: string;
  readonly steps: number;
  /** Label of the sampler, e.g. "DPM++ 2M". */
  readonly sampler: string;
  /** Label of the schedule, e.g. "Karras"; missing where the sampler has timesteps of its own. */
  readonly schedule?: string | undefined;
  readonly guidance: number;
  /** instruct-pix2pix. */
  readonly imageGuidance?: number | undefined;
  readonly seed: bigint;
  readonly width: number;
  readonly height: number;
  /** SHA-256 of the checkpoint file, in hex. */
  readonly modelHash?: string | undefined;
  /** The checkpoint's name without folder and ending. */
  readonly model?: string | undefined;
  readonly vaeHash?: string | undefined;
  readonly vae?: string | undefined;
  /** Of a picture made from another one. */
  readonly strength?: number | undefined;
  readonly inpaint?: InpaintParameters | undefined;
  /** Written only where it is not the sampler's own. */
  readonly eta?: number | undefined;
  readonly version: string;
}

export interface InpaintParameters {
  readonly blur: number;
  readonly invert: boolean;
  readonly fill: MaskedContent;
  /** Only the part around the mask was made. */
  readonly onlyMasked: boolean;
  readonly padding: number;
}

/** A1111's words; "original" is its default and not written. */
const contentLabels = { fill: "fill", original: undefined, noise: "latent noise", nothing: "latent nothing" } as const;

type Entry = readonly [key: string, value: string | number | bigint | undefined];

function inpaintEntries(inpaint: InpaintParameters | undefined): Entry[] {
  if (!inpaint) return [];
  const { blur, invert, fill, onlyMasked, padding } = inpaint;
  return [
    ["Mask mode", invert ? "Inpaint not masked" : undefined],
    ["Mask blur", blur],
    ["Inpaint area", onlyMasked ? "Only masked" : undefined],
    ["Masked area padding", onlyMasked ? padding : undefined],
    ["Masked content", contentLabels[fill]],
  ];
}

/** Hex digits of a hash that A1111 shows. */
const shownHash = 10;

/** The `parameters` text. */
export function formatParameters(parameters: Parameters): string {
  const entries: readonly Entry[] = [
    ["Steps", parameters.steps],
    ["Sampler", parameters.sampler],
    ["Schedule type", parameters.schedule],
    ["CFG scale", parameters.guidance],
    ["Image CFG scale", parameters.imageGuidance],
    ["Seed", parameters.seed],
    ["Size", `${parameters.width}x${parameters.height}`],
    ["Model hash", parameters.modelHash?.slice(0, shownHash)],
    ["Model", parameters.model],
    ["VAE hash", parameters.vaeHash?.slice(0, shownHash)],
    ["VAE", parameters.vae],
    ["Denoising strength", parameters.strength],
    // Noise comes from PyTorch's CPU generator, which is not A1111's default.
    ["RNG", "CPU"],
    ...inpaintEntries(parameters.inpaint),
    ["Eta", parameters.eta],
    ["Version", `limn ${parameters.version}`],
  ];
  const last = entries.flatMap(([key, value]) => (value === undefined ? [] : [`${key}: ${quoted(String(value))}`])).join(", ");
  const negative = parameters.negative === "" ? [] : [`Negative prompt: ${parameters.negative}`];
  return [parameters.prompt, ...negative, last].join("\n");
}

/** Values that hold a separator are written as JSON strings. */
function quoted(value: string): string {
  return /[,:\n]/.test(value) ? JSON.stringify(value) : value;
}
