/** @file The rungs of convolution as functions of one signature: how each is launched, in bands of rows where a tensor is large. */
import { type Device, expectBindable, type Grid, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { activated } from "../activation.ts";
import { add } from "../add.ts";
import { epilogueTerms, term } from "../matmul/epilogue.ts";
import { type MatrixPlan, matrixPlan } from "../matmul/matrix-plan.ts";
import { words } from "../matmul/matrix-tile.ts";
import { addSlabs, emptySlabs } from "../matmul/slabs.ts";
import { slabUniforms, slicedTile, tileGrid, tileOf } from "../matmul/tile.ts";
import { activationCode } from "../snippets.ts";
import { ticketsFor } from "../tickets.ts";
import { type Band, bandsOf, type Conv2dOptions, type Convolution, convolutionOf } from "./convolution.ts";
import { conv2dMatrix, conv2dMatrixSlab } from "./matrix.ts";
import { conv2dNaive } from "./naive.ts";
import { conv2dSoftware, conv2dSoftwareHalves } from "./software.ts";
import { conv2dTiled, conv2dTiledSlab } from "./tiled.ts";

type Rung = (x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution) => Tensor;

/** Every rung by name; each takes what it can and throws a ShapeError otherwise. */
export const conv2dRungs = { naive, tiled, software, matrix } satisfies Record<string, Rung>;
export type Conv2dRung = keyof typeof conv2dRungs;

function naive(x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution): Tensor {
  const tunables = { ACTIVATION: activationCode[options.activation ?? "none"] };
  return eachBand(x, weight, options, sizes, 1, ({ buffers, uniforms }) => {
    const grid = perElement(uniforms.rows * sizes.outputs);
    conv2dNaive.launch(buffers, { ...uniforms, channels: sizes.channels, columns: sizes.outputs }, grid, {
      tunables,
      flags: flagsOf(sizes),
    });
  });
}

function flagsOf({ wrap }: Convolution) {
  return { WRAP: wrap };
}

function tiled(x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution): Tensor {
  expectQuads(options, sizes);
  const { rows, inner, columns } = productOf(sizes);
  const sliced = inOneBand(x, sizes) ? slicedTile(x.device, rows, columns, inner) : undefined;
  const tile = tileOf(x.device, rows, columns);
  const tunables = { ACTIVATION: activationCode[options.activation ?? "none"], WORKGROUP_SIZE: tile.rows };
  const quads = { channel_quads: sizes.channels / 4, quads: sizes.outputs / 4 };
  const inner_quads = sizes.kernelHeight * sizes.kernelWidth * quads.channel_quads;
  const flags = flagsOf(sizes);
  return eachBand(x, weight, options, sizes, 4, ({ buffers, uniforms }) => {
    if (sliced) {
      x.device.scope(() => {
        const slabs = emptySlabs(x.device, sliced);
        const values = { ...uniforms, ...quads, inner_quads, ...slabUniforms(sliced) };
        conv2dTiledSlab.launch({ x, weight, slabs }, values, [sliced.across, sliced.down, sliced.slices], { flags });
        addSlabs(slabs, buffers.y, { ...options, rows, columns, sampleRows: uniforms.sample_pixels }, sliced);
      });
      return;
    }
    const grid = tileGrid(uniforms.rows, sizes.outputs, tile);
    conv2dTiled.launch(buffers, { ...uniforms, ...quads, inner_quads, eight: 8 }, grid, { tunables, flags });
  });
}

/** Whether subgroup matrices can do it: f16 operands, channels in eights, and a device that has a configuration for it. */
export function matrixFits(x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution): boolean {
  const eights = sizes.channels % 8 === 0 && sizes.outputs % 8 === 0;
  const half = [x, weight, options.channelAdd ?? x].every(({ dtype }) => dtype === "f16");
  return eights && half && inQuads(options, sizes) && matrixPlan(x.device, productOf(sizes)) !== undefined;
}

/** The convolution as a product: gathered pixels times weights. */
export function productOf(sizes: Convolution) {
  return {
    rows: sizes.samples * sizes.outHeight * sizes.outWidth,
    inner: sizes.kernelHeight * sizes.kernelWidth * sizes.channels,
    columns: sizes.outputs,
  };
}

/** `plan`: another way to cut it up than the one that should be quickest. */
export function matrix(
  x: Tensor,
  weight: Tensor,
  options: Conv2dOptions,
  sizes: Convolution,
  plan: MatrixPlan | undefined = matrixPlan(x.device, productOf(sizes), inOneBand(x, sizes)),
): Tensor {
  if (!plan || !matrixFits(x, weight, options, sizes)) {
    throw new ShapeError(
      `conv2d: subgroup matrices need f16 operands with channels in eights and a device that has them, got ${x.dtype} with ` +
        `${sizes.channels} and ${weight.dtype} with ${sizes.outputs}`,
      { hint: "use the tiled rung" },
    );
  }
  const { rows, inner, columns } = productOf(sizes);
  const { quads, octets } = { quads: columns / 4, octets: columns / 8 };
  const shape = { quads, octets, inner, steps: plan.steps, slice: plan.slice, channel_octets: sizes.channels / 8 };
  const tunables = { ...plan.tunables, ACTIVATION: activationCode[options.activation ?? "none"] };
  const flags = flagsOf(sizes);
  return eachBand(x, weight, options, sizes, 4, ({ buffers, uniforms }) => {
    const operands = { x: words(buffers.x), weight: words(weight) };
    if (plan.slices === 1) {
      const grid: Grid = [plan.across, Math.ceil(uniforms.rows / plan.rows)];
      conv2dMatrix.launch({ ...buffers, ...operands }, { ...uniforms, ...shape }, grid, { tunables, flags });
      return;
    }
    x.device.scope(() => {
      const slabs = emptySlabs(x.device, plan);
      const grid: Grid = [plan.across, plan.down, plan.slices];
      conv2dMatrixSlab.launch({ ...operands, slabs }, { ...uniforms, ...shape }, grid, { tunables: plan.tunables, flags });
      addSlabs(slabs, buffers.y, { ...options, rows, columns, sampleRows: uniforms.sample_pixels }, plan);
    });
  });
}

/** Whether x and y are small enough for one launch. */
export function inOneBand(x: Tensor, { samples, outHeight, outWidth, outputs }: Convolution): boolean {
  const y = (samples * outHeight * outWidth * outputs * x.bytes) / x.size;
  return Math.max(x.bytes, y) <= x.device.limits.maxStorageBufferBindingSize;
}

/** Whether a device computes on the CPU in the subgroups that the software rung is written for. */
export function takesSoftware(device: Device): boolean {
  return (
    device.tier === "software" &&
    [4, 8].includes(device.subgroupSize) &&
    device.accepts(conv2dSoftware.name, conv2dSoftwareHalves.name)
  );
}

/** An activation follows as a launch of its own: in the epilogue it would make another variant of this slow-compiling kernel. */
function software(x: Tensor, weight: Tensor, options: Conv2dOptions, sizes: Convolution): Tensor {
  expectQuads(options, sizes);
  const { activation = "none", residual } = options;
  if (activation !== "none") {
    return x.device.scope(() => {
      const sum = software(x, weight, { ...options, activation: "none", residual: undefined }, sizes);
      const y = activated(sum, activation);
      return residual ? add(y, residual) : y;
    });
  }
  return eachBand(x, weight, options, sizes, 4, (launch) => launchSoftware(launch, sizes));
}

/** geglu(x * weight + bias) in one launch of the software rung, values before gates, both in eights: [samples, H', W', outputs / 2]. */
export function softwareGeglu(x: Tensor, weight: Tensor, bias: Tensor | undefined): Tensor {
  const sizes = convolutionOf(x, weight, { bias });
  expectQuads({ bias }, { ...sizes, outputs: sizes.outputs / 4 });
  const stored = { ...sizes, outputs: sizes.outputs / 2 };
  return eachBand(x, weight, { bias }, stored, 4, ({ buffers, uniforms }) => {
    launchSoftware({ buffers, uniforms: { ...uniforms, terms: uniforms.terms | term.gates } }, sizes);
  });
}

/** `sizes.outputs`: columns of the weights, gates included. */
function launchSoftware({ buffers, uniforms }: Launch, { channels, outputs, wrap }: Convolution): void {
  const { weight } = buffers;
  const { device } = weight;
  const lanes = device.subgroupSize;
  const gates = (uniforms.terms & term.gates) !== 0;
  const blocks = uniforms.rows <= 2 * lanes ? 1 : 4;
  const quads = outputs <= 4 * lanes && !gates ? 1 : 2;
  const down = Math.ceil(uniforms.rows / (blocks * lanes));
  const tickets = ticketsFor(device, down * Math.ceil(outputs / (4 * quads * lanes)));
  const counts = { four: 4, parts: blocks * quads, down, ...tickets.uniforms };
  const widths = { channel_quads: channels / 4, quads: outputs / (gates ? 8 : 4), weight_quads: outputs / 4 };
  const values = { ...uniforms, ...widths, ...counts };
  const bound = { ...buffers, ...tickets.buffers };
  const variant = { tunables: { LANES: lanes, BLOCKS: blocks, QUADS: quads }, flags: { WRAP: wrap } };
  if (weight.dtype === "f16" && quads === 2 && outputs % 8 === 0) {
    expectBindable(conv2dSoftwareHalves.name, weight, device); // an error shall call it what it is, not words
    conv2dSoftwareHalves.launch({ ...bound, weight: words(weight) }, values, tickets.grid, variant);
  } else {
    conv2dSoftware.launch(bound, values, tickets.grid, variant);
  }
}

/** Whether channels (and where they lie in channelAdd) come in fours. */
export function inQuads({ channelAdd, channelAddColumn = 0 }: Conv2dOptions, { channels, outputs }: Convolution): boolean {
  return [channels, outputs, channelAddColumn, channelAdd?.shape.at(-1) ?? 0].every((size) => size % 4 === 0);
}

function expectQuads(options: Conv2dOptions, sizes: Convolution): void {
  if (inQuads(options, sizes)) return;
  const { channels, outputs } = sizes;
  throw new ShapeError(`conv2d: this rung needs channels in fours, but there are ${channels} in and ${outputs} out`, {
    hint: "use the naive rung, or pad the channels with zeros",
  });
}

interface Launch {
  readonly buffers: {
    readonly x: Tensor;
    readonly weight: Tensor;
    readonly y: Tensor;
    readonly bias: Tensor | undefined;
    readonly channel_add: Tensor | undefined;
    readonly residual: Tensor | undefined;
  };
  readonly uniforms: ReturnType<typeof uniformsOf>;
}

/** `unit`: what the kernel reads at once, 1 or 4 numbers. Makes the output and calls `launch` once, or for each band of each sample where x or y is larger than a binding. */
function eachBand(
  x: Tensor,
  weight: Tensor,
  { bias, residual, channelAdd: channel_add, channelAddColumn }: Conv2dOptions,
  sizes: Convolution,
  unit: 1 | 4,
  launch: (launch: Launch) => void,
): Tensor {
  const { samples, height, outHeight, outWidth, outputs } = sizes;
  const y = x.device.empty([samples, outHeight, outWidth, outputs], x.dtype, "conv2d");
  const terms = epilogueTerms({ bias, channel_add, residual }, unit, channelAddColumn);
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: alignment } = x.device.limits;
  if (x.bytes <= limit && y.bytes <= limit) {
    const band = { begin: 0, rows: outHeight, inputBegin: 0, inputRows: height };
    launch({ buffers: { x, weight, y, bias, channel_add, residual }, uniforms: uniformsOf(sizes, band, samples, 0, terms) });
    return y;
  }
  const inputRows = x.reshape([samples * height, x.size / samples / height]);
  const outputRows = y.reshape([samples * outHeight, outWidth * outputs]);
  const residualRows = residual?.reshape(outputRows.shape);
  const bands = bandsOf(sizes, x.bytes / samples / height, y.bytes / samples / outHeight, limit, alignment);
  for (let sample = 0; sample < samples; sample++) {
    for (const band of bands) {
      const input = sample * height + band.inputBegin;
      const output = sample * outHeight + band.begin;
      const buffers = {
        x: inputRows.rows(input, input + band.inputRows),
        weight,
        y: outputRows.rows(output, output + band.rows),
        bias,
        channel_add,
        residual: residualRows?.rows(output, output + band.rows),
      };
      launch({ buffers, uniforms: uniformsOf(sizes, band, 1, sample, terms) });
    }
  }
  return y;
}

function uniformsOf(
  sizes: Convolution,
  band: Band,
  samples: number,
  firstSample: number,
  terms: ReturnType<typeof epilogueTerms>,
) {
  return {
    rows: samples * band.rows * sizes.outWidth,
    out_width: sizes.outWidth,
    sample_pixels: band.rows * sizes.outWidth,
    first_sample: firstSample,
    first_row: band.begin,
    first_input_row: band.inputBegin,
    input_rows: band.inputRows,
    width: sizes.width,
    map_height: sizes.mapHeight,
    map_width: sizes.mapWidth,
    kernel_height: sizes.kernelHeight,
    kernel_width: sizes.kernelWidth,
    stride: sizes.stride,
    top: sizes.padding.top,
    left: sizes.padding.left,
    upsample: sizes.upsample ? 1 : 0,
    ...terms,
  };
}
