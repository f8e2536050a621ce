/** @file What a user wants to see of a picture while it is made. */
import type { TerminalKind } from "./terminal-kind.ts";

export const previewKinds = ["none", "latent", "vae"] as const;
export type PreviewKind = (typeof previewKinds)[number];

export interface PreviewOptions {
  /** From the latent by a matrix, at no cost, or decoded by the VAE. */
  readonly kind: PreviewKind;
  /** Steps from one to the next. */
  readonly every: number;
  /** Path of a PNG that is written anew each time. */
  readonly file?: string | undefined;
  /** `auto`: what the terminal says it can, if stderr is one. */
  readonly terminal: "auto" | "none" | TerminalKind;
}
