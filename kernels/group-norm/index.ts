/**
 * @file Group normalisation (Wu and He 2018), with SiLU where asked. Statistics in f32, free of atomics, so that the same input
 * gives the same bits. Small maps take one launch (whole.ts), on software adapters most others, too (software.ts); the rest three (slabs.ts).
 */
import { type Device, expectShape, perElement, ShapeError, type Tensor } from "../../engine/index.ts";
import { ticketsFor } from "../tickets.ts";
import { groupNormApply } from "./apply.ts";
import { groupNormCombine } from "./combine.ts";
import { groupNormNaive } from "./naive.ts";
import { type GroupNormSizes, type GroupNormTensors, normaliseInSlabs } from "./slabs.ts";
import { groupNormSoftware } from "./software.ts";
import { groupNormStatistics } from "./statistics.ts";
import { groupNormWhole } from "./whole.ts";

export { groupNormApply, groupNormCombine, groupNormNaive, groupNormSoftware, groupNormStatistics, groupNormWhole };

export interface GroupNormOptions {
  readonly groups: number;
  readonly eps: number;
  /** Apply SiLU to the result. */
  readonly silu?: boolean;
  /** [N, H, W, C'], whose channels follow x's in every pixel, as if the two had been joined. */
  readonly beside?: Tensor | undefined;
}

/**
 * x [N, H, W, C] (or [N, T, C]) -> (x - mean) / sqrt(variance + eps) * gain + shift, where mean and variance are those of a sample's
 * group of C / groups channels over all its pixels. gain, shift f32 [C]. C and the result's channels are C + C' with a tensor beside x.
 * Throws a ShapeError where C is no multiple of groups. `rung` forces one of `groupNormRungs`, for tests and bench.
 */
export function groupNorm(x: Tensor, gain: Tensor, shift: Tensor, options: GroupNormOptions, rung?: GroupNormRung): Tensor {
  const { beside, groups, eps, silu = false } = options;
  const { rows, own } = expectShape("groupNorm", x, ["...rows", "own"]);
  const channels = own + (beside ? channelsBeside(x, beside) : 0);
  expectShape("groupNorm", gain, ["channels"], { sizes: { channels } });
  expectShape("groupNorm", shift, ["channels"], { sizes: { channels } });
  if (x.shape.length < 2) throw new ShapeError(`groupNorm: x [${x.shape.join(", ")}] has no axis of samples beside its channels`);
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new ShapeError(
      `groupNorm: ${channels} channels of x [${x.shape.join(", ")}] can't be split into ${groups} equal groups`,
    );
  }
  const samples = x.shape[0]!;
  const y = x.device.empty([...x.shape.slice(0, -1), channels], x.dtype, "groupNorm");
  const sizes = { samples, pixels: rows / samples, channels, own, groups, eps, silu };
  ladder[rung ?? chooseRung(y, sizes)]({ x, beside, gain, shift, y }, sizes);
  return y;
}

function channelsBeside(x: Tensor, beside: Tensor): number {
  if (x.shape.length === beside.shape.length && x.shape.slice(0, -1).every((size, i) => size === beside.shape[i]))
    return beside.shape.at(-1)!;
  throw new ShapeError(`groupNorm: [${beside.shape.join(", ")}] does not fit beside x [${x.shape.join(", ")}]`, {
    hint: "all axes but the last must agree",
  });
}

/** The ladder, slowest first. */
const ladder = { naive, slabs, whole, software };
export type GroupNormRung = keyof typeof ladder;

/** The rungs that take this shape, whose result has so many bytes, on the device, slowest first. Which is quickest depends on the size, too. */
export function groupNormRungs(
  device: Device,
  { bytes, channels, own, groups }: { readonly bytes: number } & Pick<GroupNormSizes, "channels" | "own" | "groups">,
): GroupNormRung[] {
  const rungs: GroupNormRung[] = ["naive"];
  if (channels % 4 !== 0 || own % 4 !== 0) return rungs;
  if (device.accepts(groupNormStatistics.name, groupNormCombine.name, groupNormApply.name)) rungs.push("slabs");
  if ((channels / groups) % 4 !== 0 || bytes > device.limits.maxStorageBufferBindingSize) return rungs;
  if (device.accepts(groupNormWhole.name)) rungs.push("whole");
  const oneSubgroup = device.tier === "software" && [4, 8].includes(device.subgroupSize);
  if (oneSubgroup && device.accepts(groupNormSoftware.name)) rungs.push("software");
  return rungs;
}

function chooseRung({ device, bytes }: Tensor, { pixels, channels, own, groups }: GroupNormSizes): GroupNormRung {
  const rungs = groupNormRungs(device, { bytes, channels, own, groups });
  const width = channels / groups;
  // Narrow groups, and those of odd vectors, share cache lines, which a core's cache must hold until the next group wants them.
  const across = lanesAcross(device.subgroupSize, width / 4);
  const mostMiB = across === 1 ? 4 : across === 2 ? 48 : Number.POSITIVE_INFINITY;
  if (rungs.includes("software") && bytes <= mostMiB * 2 ** 20) return "software";
  // One workgroup a group is quicker than three launches up to some size. Software adapters pay for the third reading.
  const most = device.tier === "software" ? 10240 : 65536;
  if (rungs.includes("whole") && pixels * width <= most) return "whole";
  return rungs.includes("slabs") ? "slabs" : "naive";
}

function software(tensors: GroupNormTensors, { samples, pixels, channels, own, groups, eps, silu }: GroupNormSizes): void {
  const lanes = tensors.x.device.subgroupSize;
  const width = channels / groups / 4;
  const across = lanesAcross(lanes, width);
  const tickets = ticketsFor(tensors.x.device, groups * samples);
  groupNormSoftware.launch(
    { ...tensors, ...tickets.buffers },
    { pixels, quads: channels / 4, own: own / 4, groups, width, across, eps, silu: silu ? 1 : 0, ...tickets.uniforms },
    tickets.grid,
    { flags: { BESIDE: true }, tunables: { LANES: lanes } },
  );
}

/** The largest power of two that divides a group's `width` in vectors, at most all lanes. */
function lanesAcross(lanes: number, width: number): number {
  let across = 1;
  while (across < lanes && width % (2 * across) === 0) across *= 2;
  return across;
}

function whole(tensors: GroupNormTensors, { samples, pixels, channels, own, groups, eps, silu }: GroupNormSizes): void {
  const uniforms = { pixels, quads: channels / 4, own: own / 4, width: channels / groups / 4, eps };
  groupNormWhole.launch(tensors, uniforms, [groups, samples], {
    flags: { SILU: silu, BESIDE: tensors.beside !== undefined },
    tunables: { WORKGROUP_SIZE: tensors.x.device.tier === "software" ? 8 : 256 },
  });
}

function slabs(tensors: GroupNormTensors, sizes: GroupNormSizes): void {
  tensors.x.device.scope(() => normaliseInSlabs(tensors, sizes));
}

function naive(tensors: GroupNormTensors, { silu, ...sizes }: GroupNormSizes): void {
  groupNormNaive.launch(tensors, sizes, perElement(sizes.samples * sizes.groups), { flags: { SILU: silu } });
}
