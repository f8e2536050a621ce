/** @file `bench image`: a picture of the embedded checkpoint by stage, cold and warm, with what a step costs the host. */

import { openAsBlob } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Device } from "../engine/index.ts";
import { BlobSource, StableDiffusion } from "../model/index.ts";
import { spread } from "./timing.ts";

export interface ImageReport {
  readonly load: number;
  /** Seconds of the first picture and the median of the later ones. */
  readonly cold: Seconds;
  readonly warm: Seconds;
  readonly stepsPerSecond: number;
  readonly dispatchesPerStep: number;
  /** Encoding of a replayed step, submit excluded. */
  readonly hostMicrosPerDispatch: number;
  readonly bindGroupsBuiltInReplay: number;
  readonly gpuBytes: number;
  readonly plannedBytes: number;
}

interface Seconds {
  readonly text: number;
  readonly denoise: number;
  readonly decode: number;
  readonly total: number;
}

/** @param runs warm pictures, 1 or more */
export async function benchImage(device: Device, runs: number, model?: string): Promise<ImageReport> {
  const path = model ?? fileURLToPath(new URL("../../checkpoints/limn-emoji.safetensors", import.meta.url));
  const begin = performance.now();
  const diffusion = await StableDiffusion.load(new BlobSource(await openAsBlob(path), path), { device });
  const load = (performance.now() - begin) / 1000;
  const pictures: Seconds[] = [];
  let steps = 0;
  for (let i = 0; i <= runs; i++) {
    const start = performance.now();
    const run = diffusion.generate("a red fox", { seed: 3n });
    let next = await run.next();
    while (!next.done) {
      steps = next.value.steps;
      next = await run.next();
    }
    pictures.push({ ...next.value.seconds, total: (performance.now() - start) / 1000 });
  }
  const [cold, ...later] = pictures as [Seconds, ...Seconds[]];
  const median = (key: keyof Seconds) => spread(later.map((seconds) => seconds[key])).median;
  const warm = { text: median("text"), denoise: median("denoise"), decode: median("decode"), total: median("total") };
  const report = {
    load,
    cold,
    warm,
    stepsPerSecond: steps / warm.denoise,
    dispatchesPerStep: diffusion.dispatchesPerStep,
    hostMicrosPerDispatch: device.submitter.hostMicrosPerDispatch,
    bindGroupsBuiltInReplay: device.counters.bindGroupsBuiltInReplay,
    gpuBytes: device.memory.peakBytes,
    plannedBytes: diffusion.plannedBytes,
  };
  diffusion.free();
  return report;
}
