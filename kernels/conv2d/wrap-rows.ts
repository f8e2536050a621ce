/**
 * @file A map that goes round, where a launch sees only a band of it: the rows that the window meets beyond the first and the last
 * one are copied there before. Columns still go round in the kernel.
 */
import { OutOfMemoryError, type Tensor } from "../../engine/index.ts";
import { type Convolution, type Padding, rowsToAlign } from "./convolution.ts";

/** Whether the window meets rows that lie at the other end of the map. */
export function needsMoreRows({ wrap, padding }: Convolution): boolean {
  return wrap && (padding.top > 0 || padding.bottom > 0);
}

/**
 * x [N, H, W, C] -> [N, at least H + above + below, W, C], and the padding with which the convolution gives the same (below 0: rows that it leaves out).
 * @throws OutOfMemoryError BINDING_TOO_LARGE where the map is cut already
 */
export function withRowsAround(x: Tensor, sizes: Convolution): { readonly x: Tensor; readonly padding: Padding } {
  const { samples, height, width, channels, padding, upsample, mapHeight } = sizes;
  const scale = upsample ? 2 : 1;
  if (mapHeight !== scale * height) {
    throw new OutOfMemoryError(
      "BINDING_TOO_LARGE",
      `conv2d: a map that goes round, cut to ${mapHeight} rows, exceeds one binding`,
      {
        hint: "make a smaller picture",
      },
    );
  }
  const [above, below] = [Math.ceil(padding.top / scale), Math.ceil(padding.bottom / scale)];
  // Every sample must begin where a binding may; what that adds below is left out again.
  const step = samples > 1 ? rowsToAlign(x.bytes / samples / height, x.device.limits.minStorageBufferOffsetAlignment) : 1;
  const tall = Math.ceil((above + height + below) / step) * step;
  const y = x.device.empty([samples, tall, width, channels], x.dtype, "rows around");
  const [from, to] = [x.reshape([samples * height, width * channels]), y.reshape([samples * tall, width * channels])];
  for (let sample = 0; sample < samples; sample++) {
    const copyRows = (begin: number, count: number, at: number) => {
      if (count === 0) return;
      const [source, target] = [sample * height + begin, sample * tall + at];
      x.device.copy(from.rows(source, source + count), to.rows(target, target + count));
    };
    copyRows(height - above, above, 0);
    copyRows(0, height, above);
    copyRows(0, below, above + height);
  }
  const bottom = padding.bottom - scale * (tall - above - height);
  return { x: y, padding: { ...padding, top: padding.top - scale * above, bottom } };
}
