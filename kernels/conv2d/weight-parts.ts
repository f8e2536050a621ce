/**
 * @file Weights that no binding can hold, tap by tap: a convolution is the sum of its window's taps, each a convolution of its own over a
 * map that is shifted by as much. The weights [KH, KW, C, O] lie tap after tap, so a part is a view of them.
 */
import type { Tensor } from "../../engine/index.ts";
import { activated } from "../activation.ts";
import { add } from "../add.ts";
import type { Conv2dOptions, Convolution } from "./convolution.ts";

/** Rows and columns of the window: some whole rows, or taps of one row. */
export interface WindowPart {
  readonly top: number;
  readonly left: number;
  readonly height: number;
  readonly width: number;
}

/** The largest parts of at most `limit` bytes; undefined where a single tap has more. */
export function windowParts({ kernelHeight, kernelWidth }: Convolution, bytes: number, limit: number): WindowPart[] | undefined {
  const tapBytes = bytes / kernelHeight / kernelWidth;
  const taps = Math.floor(limit / tapBytes);
  if (taps === 0) return undefined;
  const height = Math.max(1, Math.floor(taps / kernelWidth));
  const width = Math.min(kernelWidth, taps);
  const parts: WindowPart[] = [];
  for (let top = 0; top < kernelHeight; top += height) {
    for (let left = 0; left < kernelWidth; left += width) {
      parts.push({ top, left, height: Math.min(height, kernelHeight - top), width: Math.min(width, kernelWidth - left) });
    }
  }
  return parts;
}

export type Convolve = (weight: Tensor, options: Conv2dOptions, sizes: Convolution) => Tensor;

/** The sum of the parts' convolutions, by `convolve`; every part but the first takes the sum so far as its residual. */
export function sumOfParts(
  parts: readonly WindowPart[],
  weight: Tensor,
  options: Conv2dOptions,
  sizes: Convolution,
  convolve: Convolve,
): Tensor {
  const { activation = "none", residual, ...others } = options;
  if (activation !== "none") {
    return weight.device.scope(() => {
      const y = activated(sumOfParts(parts, weight, others, sizes, convolve), activation);
      return residual ? add(y, residual) : y;
    });
  }
  const { channels, outputs, kernelWidth } = sizes;
  const taps = weight.reshape([sizes.kernelHeight * kernelWidth, channels, outputs]);
  return weight.device.scope(() => {
    let sum: Tensor | undefined;
    for (const part of parts) {
      const first = part.top * kernelWidth + part.left;
      const own = taps.rows(first, first + part.height * part.width).reshape([part.height, part.width, channels, outputs]);
      const next = sum
        ? convolve(own, { residual: sum }, partOf(sizes, part))
        : convolve(own, { ...others, residual }, partOf(sizes, part));
      sum?.free();
      sum = next;
    }
    return sum!;
  });
}

/** The same output, from one part of the window: padding is what lies beyond the map under it, below 0 where it begins inside. */
function partOf(sizes: Convolution, { top, left, height, width }: WindowPart): Convolution {
  const { padding, kernelHeight, kernelWidth } = sizes;
  return {
    ...sizes,
    kernelHeight: height,
    kernelWidth: width,
    padding: {
      top: padding.top - top,
      left: padding.left - left,
      bottom: padding.bottom - (kernelHeight - top - height),
      right: padding.right - (kernelWidth - left - width),
    },
  };
}
