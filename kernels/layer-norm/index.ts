/** @file Layer normalisation (Ba, Kiros and Hinton 2016) over the last axis, statistics in f32. */
import { type Device, expectShape, foldGroups, perElement, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { layerNormNaive } from "./naive.ts";
import { layerNormSoftware } from "./software.ts";
import { layerNormWorkgroup } from "./workgroup.ts";

export { layerNormNaive, layerNormSoftware, layerNormWorkgroup };

interface Sizes {
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
}

/** The ladder, slowest first. */
const ladder = {
  naive(buffers: Buffers, { rows, width, eps }: Sizes): void {
    layerNormNaive.launch(buffers, { rows, width, eps }, perElement(rows));
  },
  workgroup(buffers: Buffers, { rows, width, eps }: Sizes): void {
    layerNormWorkgroup.launch(buffers, { rows, quads: width / 4, eps }, foldGroups(rows));
  },
  software(buffers: Buffers, { rows, width, eps }: Sizes): void {
    const lanes = buffers.x.device.subgroupSize;
    const grid = foldGroups(Math.ceil(rows / lanes));
    layerNormSoftware.launch(buffers, { rows, quads: width / 4, lanes, eps }, grid, { tunables: { LANES: lanes } });
  },
};
type Buffers = Readonly<Record<"x" | "gain" | "shift" | "y", Tensor>>;
export type LayerNormRung = keyof typeof ladder;

/**
 * x [..., C] -> (x - mean) / sqrt(variance + eps) * gain + shift, each row by itself. gain, shift f32 [C]. Throws a ShapeError.
 * `rung` forces one of `layerNormRungs`, for tests and bench.
 */
export function layerNorm(
  x: Tensor,
  gain: Tensor,
  shift: Tensor,
  { eps }: { readonly eps: number },
  rung?: LayerNormRung,
): Tensor {
  const { rows, width } = expectShape("layerNorm", x, ["...rows", "width"]);
  expectShape("layerNorm", gain, ["width"], { sizes: { width } });
  expectShape("layerNorm", shift, ["width"], { sizes: { width } });
  const y = x.device.empty(x.shape, x.dtype, "layerNorm");
  const run = ladder[rung ?? layerNormRungs(x.device, width).at(-1)!];
  inBands("layerNorm", rows, { x, y }, (band, rows) => run({ ...band, gain, shift }, { rows, width, eps }));
  return y;
}

/** The rungs that take rows of this width on the device, slowest first; the last is picked. */
export function layerNormRungs(device: Device, width: number): LayerNormRung[] {
  if (width % 4 !== 0) return ["naive"];
  if (device.tier !== "software") return device.accepts(layerNormWorkgroup.name) ? ["naive", "workgroup"] : ["naive"];
  const fits = [4, 8].includes(device.subgroupSize) && device.accepts(layerNormSoftware.name);
  return fits ? ["naive", "software"] : ["naive"];
}
