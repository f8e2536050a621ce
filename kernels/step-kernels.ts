/**
 * @file What a sampler launches between the replays of the U-Net, compiled beforehand. Launches outside a capture compile when they
 * come, and by then the U-Net runs: llvmpipe compiles nothing until that run is over, and the host, its Ctrl-C too, waits with it.
 */
import type { Device, DType } from "../engine/index.ts";
import { combineSlotsKernel } from "./combine.ts";
import { guidanceKernel } from "./guidance.ts";

/** Compiles guidance on U-Net outputs of dtype `output`, and the sum of f32 latents in slots. @throws ShaderError */
export async function compileStepKernels(device: Device, output: DType): Promise<void> {
  await Promise.all([
    device.prepare(guidanceKernel, { types: { Element: output } }),
    device.prepare(combineSlotsKernel, { types: { Element: "f32" } }),
  ]);
}
