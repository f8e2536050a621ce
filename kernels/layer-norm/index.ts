/** @file Layer normalisation (Ba, Kiros and Hinton 2016) over the last axis, statistics in f32. */
import { expectShape, foldGroups, perElement, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { layerNormNaive } from "./naive.ts";
import { layerNormSoftware } from "./software.ts";
import { layerNormWorkgroup } from "./workgroup.ts";

export { layerNormNaive, layerNormSoftware, layerNormWorkgroup };

/** x [..., C] -> (x - mean) / sqrt(variance + eps) * gain + shift, each row by itself. gain, shift f32 [C]. Throws a ShapeError. */
export function layerNorm(x: Tensor, gain: Tensor, shift: Tensor, { eps }: { readonly eps: number }): Tensor {
  const { rows, width } = expectShape("layerNorm", x, ["...rows", "width"]);
  expectShape("layerNorm", gain, ["width"], { sizes: { width } });
  expectShape("layerNorm", shift, ["width"], { sizes: { width } });
  const y = x.device.empty(x.shape, x.dtype, "layerNorm");
  const quads = width / 4;
  const { device } = x;
  const lanes = device.tier === "software" && [4, 8].includes(device.subgroupSize) ? device.subgroupSize : 0;
  inBands("layerNorm", rows, { x, y }, (band, rows) => {
    const buffers = { ...band, gain, shift };
    if (width % 4 === 0 && lanes > 0 && device.accepts(layerNormSoftware.name)) {
      const grid = foldGroups(Math.ceil(rows / lanes));
      layerNormSoftware.launch(buffers, { rows, quads, lanes, eps }, grid, { tunables: { LANES: lanes } });
    } else if (width % 4 === 0 && device.tier !== "software" && device.accepts(layerNormWorkgroup.name)) {
      layerNormWorkgroup.launch(buffers, { rows, quads, eps }, foldGroups(rows));
    } else layerNormNaive.launch(buffers, { rows, width, eps }, perElement(rows));
  });
  return y;
}
