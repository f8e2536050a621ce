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
  inBands("layerNorm", rows, { x, y }, (band, rows) => {
    const buffers = { ...band, gain, shift };
    const rung = x.device.tier === "software" ? layerNormSoftware : layerNormWorkgroup;
    if (width % 4 !== 0 || !x.device.accepts(rung.name)) layerNormNaive.launch(buffers, { rows, width, eps }, perElement(rows));
    else if (x.device.tier === "software") {
      // One subgroup a workgroup, so that a few dozen rows reach all cores.
      layerNormSoftware.launch(buffers, { rows, quads, eps }, perElement(rows, 8), { tunables: { WORKGROUP_SIZE: 8 } });
    } else layerNormWorkgroup.launch(buffers, { rows, quads, eps }, foldGroups(rows));
  });
  return y;
}
