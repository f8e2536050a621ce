/** @file How large the second pass's picture is: the A1111 web UI's rules (modules/processing.py, `calculate_target_resolution`). */
import type { Size } from "../image/index.ts";

export interface HiresSize {
  /** Times as large; default 2. */
  readonly scale?: number | undefined;
  /** Pixels instead of it. One of them alone keeps the proportions; both cut what is too much off the enlarged picture. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
}

export interface HiresTarget {
  /** What the first picture is enlarged to, before anything is cut; multiples of the latent's cells. */
  readonly enlarged: Size;
  /** Cells of the latent that are cut away at the left and top; what is too much at the right and below follows. */
  readonly cut: { readonly left: number; readonly top: number };
  /** The picture. */
  readonly size: Size;
}

export const defaultHiresScale = 2;

/** `cell`: pixels of a latent's cell along each side, the VAE's factor. */
export function hiresTarget(first: Size, wanted: HiresSize, cell: number): HiresTarget {
  const { scale = defaultHiresScale, width = 0, height = 0 } = wanted;
  const whole = (pixels: number) => Math.max(Math.floor(pixels / cell), 1) * cell;
  const wider = { width, height: Math.floor((width * first.height) / first.width) };
  const higher = { width: Math.floor((height * first.width) / first.height), height };
  if (width === 0 && height === 0) return uncut({ width: whole(first.width * scale), height: whole(first.height * scale) });
  if (height === 0) return uncut({ width: whole(wider.width), height: whole(wider.height) });
  if (width === 0) return uncut({ width: whole(higher.width), height: whole(higher.height) });
  const covering = first.width * height < width * first.height ? wider : higher;
  const enlarged = { width: whole(covering.width), height: whole(covering.height) };
  const tooMuch = { across: Math.floor((covering.width - width) / cell), down: Math.floor((covering.height - height) / cell) };
  return {
    enlarged,
    cut: { left: Math.floor(tooMuch.across / 2), top: Math.floor(tooMuch.down / 2) },
    size: { width: enlarged.width - tooMuch.across * cell, height: enlarged.height - tooMuch.down * cell },
  };
}

function uncut(size: Size): HiresTarget {
  return { enlarged: size, cut: { left: 0, top: 0 }, size };
}
