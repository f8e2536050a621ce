/** @file Group-norm of large maps: two passes over x (statistics, apply) with a small step between, in bands where a binding can't hold x. */
import { perElement, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { groupNormApply } from "./apply.ts";
import { groupNormCombine } from "./combine.ts";
import { groupNormStatistics } from "./statistics.ts";

export interface GroupNormSizes {
  readonly samples: number;
  readonly pixels: number;
  readonly channels: number;
  /** Of the channels those of x; the others are of the tensor beside it. */
  readonly own: number;
  readonly groups: number;
  readonly eps: number;
  readonly silu: boolean;
}

export interface GroupNormTensors {
  readonly x: Tensor;
  readonly beside: Tensor | undefined;
  readonly gain: Tensor;
  readonly shift: Tensor;
  readonly y: Tensor;
}

/** Writes y. Channels are multiples of 4. */
export function normaliseInSlabs({ gain, shift, ...maps }: GroupNormTensors, sizes: GroupNormSizes): void {
  const { device } = maps.x;
  const { samples, pixels, channels, own, groups, eps, silu } = sizes;
  const quads = { quads: channels / 4, own: own / 4 };
  const flags = { BESIDE: maps.beside !== undefined };
  const tuning = device.tier === "software" ? software(sizes) : gpu(sizes);
  const slabs = Math.ceil(pixels / tuning.slabPixels);
  const moments = device.empty([samples, slabs, 2, channels], "f32", "groupNorm moments");
  const affine = device.empty([samples, 2, channels], "f32", "groupNorm affine");

  eachPart(maps, sizes, tuning.slabPixels, (part) => {
    const count = Math.ceil(part.pixels / tuning.slabPixels);
    groupNormStatistics.launch(
      { x: part.x, beside: part.beside, moments },
      {
        first_sample: part.sample,
        pixels: part.pixels,
        ...quads,
        slab_pixels: tuning.slabPixels,
        first_slab: part.begin / tuning.slabPixels,
        all_slabs: slabs,
      },
      [Math.ceil(quads.quads / tuning.quads), count, part.samples],
      { flags, tunables: { QUADS: tuning.quads, LANES: tuning.lanes } },
    );
  });
  groupNormCombine.launch(
    { moments, gain, shift, affine },
    { pixels, channels, groups, slabs, slab_pixels: tuning.slabPixels, eps },
    [groups, samples],
    { tunables: { WORKGROUP_SIZE: tuning.combineSize } },
  );
  eachPart(maps, sizes, 1, (part) => {
    groupNormApply.launch(
      { x: part.x, beside: part.beside, affine, y: part.y },
      { samples: part.samples, first_sample: part.sample, pixels: part.pixels, ...quads },
      perElement(part.samples * Math.ceil(part.pixels / tuning.applyPixels) * quads.quads, tuning.applySize),
      { flags: { SILU: silu, ...flags }, tunables: { PIXELS: tuning.applyPixels, WORKGROUP_SIZE: tuning.applySize } },
    );
  });
}

interface Maps {
  readonly x: Tensor;
  readonly beside: Tensor | undefined;
  readonly y: Tensor;
}

interface Part extends Maps {
  readonly sample: number;
  readonly samples: number;
  /** First pixel of the part in its sample. */
  readonly begin: number;
  readonly pixels: number;
}

/** All samples at once where they fit into one binding, else bands of each sample's pixels. */
function eachPart(maps: Maps, { samples, pixels }: GroupNormSizes, multiple: number, run: (part: Part) => void): void {
  const { x, beside, y } = maps;
  if (y.bytes <= y.device.limits.maxStorageBufferBindingSize) {
    run({ ...maps, sample: 0, samples, begin: 0, pixels });
    return;
  }
  const sampleOf = (tensor: Tensor, sample: number) => tensor.reshape([samples, tensor.size / samples]).rows(sample, sample + 1);
  for (let sample = 0; sample < samples; sample++) {
    const own = { x: sampleOf(x, sample), y: sampleOf(y, sample), ...(beside && { beside: sampleOf(beside, sample) }) };
    inBands(
      "groupNorm",
      pixels,
      own,
      (band, count, begin) => run({ beside: undefined, ...band, sample, samples: 1, begin, pixels: count }),
      multiple,
    );
  }
}

interface Tuning {
  /** Shape of a workgroup of the statistics: QUADS x LANES. */
  readonly quads: number;
  readonly lanes: number;
  /** A multiple of 16, so that a slab of whole vectors begins where a binding may. */
  readonly slabPixels: number;
  readonly combineSize: number;
  readonly applyPixels: number;
  readonly applySize: number;
}

/** 8 pixels an invocation give enough loads in flight; more where a slab more would only make the combination longer. */
function gpu({ pixels }: GroupNormSizes): Tuning {
  return {
    quads: 16,
    lanes: 16,
    slabPixels: Math.max(128, 16 * Math.ceil(pixels / 512 / 16)),
    combineSize: 64,
    applyPixels: 4,
    applySize: 64,
  };
}

/** No workgroup memory; few, long invocations, as each costs more than its loads; enough workgroups for all cores. */
function software({ samples, pixels, channels }: GroupNormSizes): Tuning {
  const blocks = Math.ceil(channels / 32) * samples;
  // A sum of more than 1024 numbers in a row loses digits.
  const slabs = Math.max(Math.ceil(pixels / 1024), Math.min(Math.ceil(32 / blocks), Math.ceil(pixels / 32)));
  const slabPixels = 16 * Math.ceil(pixels / slabs / 16);
  return { quads: 8, lanes: 1, slabPixels, combineSize: 1, applyPixels: 16, applySize: 16 };
}
