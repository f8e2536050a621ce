/** @file What each recorded launch of a step has to do: its arithmetic, its bytes, and the block of the U-Net that it belongs to. */
import type { Capture, Tensor } from "../engine/index.ts";
import type { Checkpoint } from "../model/checkpoint/checkpoint.ts";
import type { Work } from "./work.ts";

export interface LaunchCost {
  /** `conv2d/tiled 3x3`: the kernel, and where it multiplies by a weight what that is. */
  readonly kernel: string;
  /** `input_blocks.4`, `middle_block`, `time_embed`, `out` */
  readonly block: string;
  readonly flop: number;
  /** Of all bound ranges, each once. */
  readonly bytes: number;
}

type Launch = Capture<unknown>["launches"][number];

/** In the order of the launches. FLOP come from `work`: by the weight that a launch binds, or for attention by its size. */
export function launchCosts(launches: readonly Launch[], weights: Checkpoint["tensors"], work: Work): LaunchCost[] {
  const names = new Map(weights.map(({ tensor, names }) => [tensor.allocation, names]));
  const shapes = new Map(weights.map(({ tensor }) => [tensor.allocation, tensor.shape]));
  const namesIn = (launch: Launch): readonly string[] => launch.tensors.flatMap(({ allocation }) => names.get(allocation) ?? []);
  const isAttention = ({ kernel }: Launch): boolean => kernel.spec.name.startsWith("attention");
  // A weight may be bound several times: row bands, or slices of a long sum.
  const times = new Map<string, number>();
  for (const name of launches.flatMap(namesIn)) times.set(name, (times.get(name) ?? 0) + 1);
  const sizes = launches.map((launch) => (isAttention(launch) ? attentionSize(launch) : 0));
  const allSizes = sizes.reduce((sum, size) => sum + size, 0);
  let block = "out";
  const backwards = [...launches.entries()].reverse().map(([i, launch]) => {
    const own = namesIn(launch);
    // What binds no weight (attention, concat, a norm's statistics) serves the next launch that does.
    if (own.length > 0) block = blockOf(own[0]!);
    const products = own.reduce((sum, name) => sum + (work.weights.get(name) ?? 0) / times.get(name)!, 0);
    const flop = products + (allSizes > 0 ? (work.attention * sizes[i]!) / allSizes : 0);
    const kind = launch.tensors.map(({ allocation }) => kindOf(shapes.get(allocation))).find((found) => found !== undefined);
    return {
      kernel: kind === undefined ? launch.kernel.name : `${launch.kernel.name} ${kind}`,
      block,
      flop,
      bytes: bytesOf(launch.tensors),
    };
  });
  return backwards.reverse();
}

/** What a weight of this shape on the device is, if it is a matrix or a window. */
function kindOf(shape: readonly number[] | undefined): string | undefined {
  if (shape === undefined || shape.length === 1) return undefined;
  return shape.length === 4 ? `${shape[0]}x${shape[1]}` : "linear";
}

/** Outputs times keys. */
function attentionSize({ kernel, tensors, uniforms }: Launch): number {
  const output = tensors[kernel.bufferNames.indexOf("y")];
  return (output?.size ?? 1) * (uniforms["keys"] ?? 1);
}

function bytesOf(tensors: readonly Tensor[]): number {
  const ranges = new Map(tensors.map((tensor) => [`${tensor.allocation.buffer.id} ${tensor.offset}`, tensor.bytes]));
  return [...ranges.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function blockOf(name: string): string {
  if (/\.(emb_layers|time_embed)\./.test(name)) return "time_embed";
  return /(?:input_blocks|output_blocks)\.\d+|middle_block|label_emb|out(?=\.\d)/.exec(name)?.[0] ?? "other";
}
