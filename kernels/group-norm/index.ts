/**
 * @file Group normalisation (Wu and He 2018), with SiLU where asked. Statistics in f32, free of atomics, so that the same input
 * gives the same bits. Small maps take one launch (whole.ts); others two passes over x (statistics, apply) with a small step between.
 */
import { expectShape, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { inBands } from "../bands.ts";
import { groupNormApply } from "./apply.ts";
import { groupNormCombine } from "./combine.ts";
import { groupNormNaive } from "./naive.ts";
import { groupNormSoftware } from "./software.ts";
import { groupNormStatistics } from "./statistics.ts";
import { groupNormWhole } from "./whole.ts";

export { groupNormApply, groupNormCombine, groupNormNaive, groupNormSoftware, groupNormStatistics, groupNormWhole };

export interface GroupNormOptions {
  readonly groups: number;
  readonly eps: number;
  /** Apply SiLU to the result. */
  readonly silu?: boolean;
}

/**
 * x [N, H, W, C] (or [N, T, C]) -> (x - mean) / sqrt(variance + eps) * gain + shift, where mean and variance are those of a sample's
 * group of C / groups channels over all its pixels. gain, shift f32 [C]. Throws a ShapeError where C is no multiple of groups.
 */
export function groupNorm(x: Tensor, gain: Tensor, shift: Tensor, { groups, eps, silu = false }: GroupNormOptions): Tensor {
  const { rows, channels } = expectShape("groupNorm", x, ["...rows", "channels"]);
  expectShape("groupNorm", gain, ["channels"], { sizes: { channels } });
  expectShape("groupNorm", shift, ["channels"], { sizes: { channels } });
  if (channels % groups !== 0) {
    throw new ShapeError(
      `groupNorm: ${channels} channels of x [${x.shape.join(", ")}] can't be split into ${groups} equal groups`,
    );
  }
  const samples = x.shape[0]!;
  const pixels = rows / samples;
  const y = x.device.empty(x.shape, x.dtype, "groupNorm");
  const sizes = { samples, pixels, channels, groups, eps, silu };
  const inSlabs = x.device.accepts(groupNormStatistics.name, groupNormCombine.name, groupNormApply.name);
  const width = channels / groups / 4;
  if (isSmall(x, sizes) && hasWorkgroupOfOneSubgroup(x)) {
    groupNormSoftware.launch(
      { x, gain, shift, y },
      { pixels, quads: channels / 4, width, eps, silu: silu ? 1 : 0 },
      [groups, samples],
      { tunables: { LANES: x.device.subgroupSize } },
    );
  } else if (isSmall(x, sizes)) {
    groupNormWhole.launch({ x, gain, shift, y }, { pixels, quads: channels / 4, width, eps }, [groups, samples], {
      flags: { SILU: silu },
      tunables: { WORKGROUP_SIZE: x.device.tier === "software" ? 8 : 256 },
    });
  } else if (channels % 4 === 0 && inSlabs) {
    x.device.scope(() => normaliseInSlabs(x, gain, shift, y, sizes));
  } else {
    groupNormNaive.launch({ x, gain, shift, y }, sizes, perElement(samples * groups), { flags: { SILU: silu } });
  }
  return y;
}

/** True where one workgroup a group is enough to be quicker than three launches. Software adapters pay for the third reading. */
function isSmall(x: Tensor, { pixels, channels, groups }: Sizes): boolean {
  const width = channels / groups;
  return (
    width % 4 === 0 &&
    x.device.accepts(groupNormWhole.name) &&
    pixels * width <= (x.device.tier === "software" ? 10240 : 65536) &&
    x.bytes <= x.device.limits.maxStorageBufferBindingSize
  );
}

function hasWorkgroupOfOneSubgroup({ device }: Tensor): boolean {
  return device.tier === "software" && [4, 8].includes(device.subgroupSize) && device.accepts(groupNormSoftware.name);
}

interface Sizes extends Required<GroupNormOptions> {
  readonly samples: number;
  readonly pixels: number;
  readonly channels: number;
}

function normaliseInSlabs(x: Tensor, gain: Tensor, shift: Tensor, y: Tensor, sizes: Sizes): void {
  const { device } = x;
  const { samples, pixels, channels, groups, eps, silu } = sizes;
  const quads = channels / 4;
  const tuning = device.tier === "software" ? software(sizes) : gpu(sizes);
  const slabs = Math.ceil(pixels / tuning.slabPixels);
  const moments = device.empty([samples, slabs, 2, channels], "f32", "groupNorm moments");
  const affine = device.empty([samples, 2, channels], "f32", "groupNorm affine");

  eachPart(x, y, sizes, tuning.slabPixels, (part) => {
    const count = Math.ceil(part.pixels / tuning.slabPixels);
    groupNormStatistics.launch(
      { x: part.x, moments },
      {
        first_sample: part.sample,
        pixels: part.pixels,
        quads,
        slab_pixels: tuning.slabPixels,
        first_slab: part.begin / tuning.slabPixels,
        all_slabs: slabs,
      },
      [Math.ceil(quads / tuning.quads), count, part.samples],
      { tunables: { QUADS: tuning.quads, LANES: tuning.lanes } },
    );
  });
  groupNormCombine.launch(
    { moments, gain, shift, affine },
    { pixels, channels, groups, slabs, slab_pixels: tuning.slabPixels, eps },
    [groups, samples],
    { tunables: { WORKGROUP_SIZE: tuning.combineSize } },
  );
  eachPart(x, y, sizes, 1, (part) => {
    groupNormApply.launch(
      { x: part.x, affine, y: part.y },
      { samples: part.samples, first_sample: part.sample, pixels: part.pixels, quads },
      perElement(part.samples * Math.ceil(part.pixels / tuning.applyPixels) * quads, tuning.applySize),
      { flags: { SILU: silu }, tunables: { PIXELS: tuning.applyPixels, WORKGROUP_SIZE: tuning.applySize } },
    );
  });
}

interface Part {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly sample: number;
  readonly samples: number;
  /** First pixel of the part in its sample. */
  readonly begin: number;
  readonly pixels: number;
}

/** All samples at once where they fit into one binding, else bands of each sample's pixels. */
function eachPart(x: Tensor, y: Tensor, sizes: Sizes, multiple: number, run: (part: Part) => void): void {
  const { samples, pixels } = sizes;
  if (x.bytes <= x.device.limits.maxStorageBufferBindingSize) {
    run({ x, y, sample: 0, samples, begin: 0, pixels });
    return;
  }
  const [xs, ys] = [x, y].map((tensor) => tensor.reshape([samples, tensor.size / samples]));
  for (let sample = 0; sample < samples; sample++) {
    const own = { x: xs!.rows(sample, sample + 1), y: ys!.rows(sample, sample + 1) };
    inBands(
      "groupNorm",
      pixels,
      own,
      (band, count, begin) => run({ ...band, sample, samples: 1, begin, pixels: count }),
      multiple,
    );
  }
}

interface Tuning {
  /** Shape of a workgroup of the statistics: QUADS x LANES. */
  readonly quads: number;
  readonly lanes: number;
  readonly slabPixels: number;
  readonly combineSize: number;
  readonly applyPixels: number;
  readonly applySize: number;
}

/** 8 pixels an invocation give enough loads in flight; more where a slab more would only make the combination longer. */
function gpu({ pixels }: Sizes): Tuning {
  return {
    quads: 16,
    lanes: 16,
    slabPixels: Math.max(128, Math.ceil(pixels / 512)),
    combineSize: 64,
    applyPixels: 4,
    applySize: 64,
  };
}

/** No workgroup memory; few, long invocations, as each costs more than its loads; enough workgroups for all cores. */
function software({ samples, pixels, channels }: Sizes): Tuning {
  const blocks = Math.ceil(channels / 32) * samples;
  // A sum of more than 1024 numbers in a row loses digits.
  const slabs = Math.max(Math.ceil(pixels / 1024), Math.min(Math.ceil(32 / blocks), Math.ceil(pixels / 32)));
  return { quads: 8, lanes: 1, slabPixels: Math.ceil(pixels / slabs), combineSize: 1, applyPixels: 16, applySize: 16 };
}
