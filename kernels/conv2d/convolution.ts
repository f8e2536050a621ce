/** @file The sizes of a convolution: from shapes and options to what the kernels need, checked once. */
import { expectShape, OutOfMemoryError, ShapeError, type Tensor } from "../../engine/index.ts";
import { checkEpilogue, type EpilogueOptions } from "../matmul/epilogue.ts";

export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export interface Conv2dOptions extends EpilogueOptions {
  /** Distance between windows, 1 (default) or 2. */
  readonly stride?: 1 | 2;
  /** Zeros around the (doubled) input: one number for all sides, default 0. */
  readonly padding?: number | Padding;
  /** The map goes round: what stands beyond its last row or column is its first, in the place of zeros. */
  readonly wrap?: boolean;
  /**
   * Every input pixel stands for 2 x 2 (nearest neighbour) and the window slides over the doubled map; a size cuts that map, by a
   * row or a column where the map that it must fit is odd.
   */
  readonly upsample?: boolean | { readonly height: number; readonly width: number };
  /** [N, O], added to all pixels of a sample, before the activation; or O columns of longer rows. */
  readonly channelAdd?: Tensor | undefined;
  /** First of those columns, 0 unless given. */
  readonly channelAddColumn?: number | undefined;
}

/** Sizes of x [samples, height, width, channels], the window, and the output [samples, outHeight, outWidth, outputs]. */
export interface Convolution {
  readonly samples: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly kernelHeight: number;
  readonly kernelWidth: number;
  readonly outputs: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly stride: number;
  readonly padding: Padding;
  readonly upsample: boolean;
  readonly wrap: boolean;
  /** The map that the window slides over: the input, or the doubled input. */
  readonly mapHeight: number;
  readonly mapWidth: number;
}

/** Throws a ShapeError where the shapes don't fit together. */
export function convolutionOf(x: Tensor, weight: Tensor, options: Conv2dOptions): Convolution {
  const input = expectShape("conv2d", x, ["samples", "height", "width", "channels"]);
  const { kernelHeight, kernelWidth, channels, outputs } = expectShape("conv2d", weight, [
    "kernelHeight",
    "kernelWidth",
    "channels",
    "outputs",
  ]);
  if (channels !== input.channels) {
    throw new ShapeError(
      `conv2d: x [${x.shape.join(", ")}] has ${input.channels} channels, the weights [${weight.shape.join(", ")}] take ${channels}`,
      { hint: "x is [N, H, W, C], weights are [KH, KW, C, O]" },
    );
  }
  const { stride = 1, upsample = false, padding: given = 0 } = options;
  const padding = typeof given === "number" ? { top: given, left: given, bottom: given, right: given } : given;
  if (![stride, ...Object.values(padding)].every(Number.isInteger) || stride < 1)
    throw new ShapeError(`conv2d: stride ${stride} and padding ${Object.values(padding).join(", ")} must be whole numbers`);
  if (weight.size === 0) throw new ShapeError(`conv2d: the weights [${weight.shape.join(", ")}] hold nothing`);
  const { height: mapHeight, width: mapWidth } = mapOf(input, upsample);
  const outHeight = Math.floor((mapHeight + padding.top + padding.bottom - kernelHeight) / stride) + 1;
  const outWidth = Math.floor((mapWidth + padding.left + padding.right - kernelWidth) / stride) + 1;
  if (outHeight < 1 || outWidth < 1) {
    throw new ShapeError(
      `conv2d: the window of ${kernelHeight} x ${kernelWidth} does not fit into x [${x.shape.join(", ")}] with its padding`,
    );
  }
  checkEpilogue("conv2d", options, [input.samples, outHeight, outWidth, outputs]);
  if (options.channelAdd) checkChannelAdd(options.channelAdd, options.channelAddColumn ?? 0, input.samples, outputs);
  const window = { kernelHeight, kernelWidth, stride, padding };
  const wrap = options.wrap === true;
  return { ...input, ...window, wrap, outputs, outHeight, outWidth, upsample: upsample !== false, mapHeight, mapWidth };
}

function mapOf({ height, width }: { height: number; width: number }, upsample: NonNullable<Conv2dOptions["upsample"]>) {
  if (!upsample) return { height, width };
  const [doubleHeight, doubleWidth] = [2 * height, 2 * width];
  if (upsample === true) return { height: doubleHeight, width: doubleWidth };
  const cut = [doubleHeight - upsample.height, doubleWidth - upsample.width];
  if (cut.some((size) => size !== 0 && size !== 1)) {
    throw new ShapeError(
      `conv2d: a map of ${height} x ${width} doubles to ${doubleHeight} x ${doubleWidth}, not to ${upsample.height} x ${upsample.width}`,
    );
  }
  return upsample;
}

function checkChannelAdd(channelAdd: Tensor, column: number, samples: number, outputs: number): void {
  const { width } = expectShape("conv2d", channelAdd, ["samples", "width"], {
    sizes: { samples },
    hint: "channelAdd has a row for each sample and a number for each output channel",
  });
  if (!Number.isInteger(column) || column < 0 || column + outputs > width) {
    throw new ShapeError(
      `conv2d: ${outputs} output channels from column ${column} end at ${column + outputs}, rows of channelAdd have ${width}`,
    );
  }
}

/** Rows of one sample that a launch covers; `begin` and `rows` count output rows, the others the input rows that they need. */
export interface Band {
  readonly begin: number;
  readonly rows: number;
  readonly inputBegin: number;
  readonly inputRows: number;
}

/**
 * Cuts a sample into bands of output rows, so that a band and the input under it take at most `limit` bytes each (a binding's size)
 * and begin on multiples of `alignment`.
 * @throws OutOfMemoryError BINDING_TOO_LARGE where a single row is too large
 */
export function bandsOf(
  sizes: Convolution,
  inputRowBytes: number,
  outputRowBytes: number,
  limit: number,
  alignment: number,
): Band[] {
  const outputStep = rowsToAlign(outputRowBytes, alignment);
  const inputStep = rowsToAlign(inputRowBytes, alignment);
  const bandFrom = (begin: number, rows: number): Band => {
    const scale = sizes.upsample ? 2 : 1;
    const first = Math.floor(Math.max(0, begin * sizes.stride - sizes.padding.top) / scale);
    const last = Math.floor(((begin + rows - 1) * sizes.stride - sizes.padding.top + sizes.kernelHeight - 1) / scale);
    const inputBegin = Math.min(Math.floor(first / inputStep) * inputStep, sizes.height - 1);
    const inputEnd = Math.min(sizes.height, Math.max(last, inputBegin) + 1);
    return { begin, rows, inputBegin, inputRows: inputEnd - inputBegin };
  };
  const fits = (band: Band) => band.rows * outputRowBytes <= limit && band.inputRows * inputRowBytes <= limit;
  // The largest step that fits at the top fits everywhere but for the alignment of the input's first row: leave that much room.
  let rows = Math.floor(Math.min(limit / outputRowBytes, sizes.outHeight) / outputStep) * outputStep;
  const fitsEverywhere = () => {
    const widest = bandFrom(sizes.outHeight > 2 * rows ? rows : 0, rows);
    return fits({ ...widest, inputRows: Math.min(sizes.height, widest.inputRows + inputStep) });
  };
  while (rows > 0 && !fitsEverywhere()) rows -= outputStep;
  if (rows === 0) {
    throw new OutOfMemoryError(
      "BINDING_TOO_LARGE",
      `conv2d: ${outputStep} rows of ${outputRowBytes} bytes (input ${inputRowBytes}) exceed one binding (${limit})`,
      { hint: "make a smaller picture", context: { rowBytes: outputRowBytes, limit } },
    );
  }
  const bands: Band[] = [];
  for (let begin = 0; begin < sizes.outHeight; begin += rows)
    bands.push(bandFrom(begin, Math.min(rows, sizes.outHeight - begin)));
  return bands;
}

/** The fewest rows whose bytes are a multiple of `alignment` (a power of two). */
export function rowsToAlign(rowBytes: number, alignment: number): number {
  let rows = 1;
  while ((rows * rowBytes) % alignment !== 0) rows *= 2;
  return rows;
}
