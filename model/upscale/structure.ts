/** @file What an upscaler is, read from its tensors' names and shapes. Plain BasicSR names: see names.ts. */
import { ModelFileError } from "../../engine/errors.ts";
import { printable } from "../checkpoint/printable.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";

/** ESRGAN's network (Wang et al. 2018): residual blocks of dense blocks, then doublings. */
export interface RrdbStructure {
  readonly kind: "rrdb";
  /** Channels of the trunk, and those that each convolution of a dense block adds. */
  readonly features: number;
  readonly growth: number;
  readonly blocks: number;
  /** Doublings at the end. */
  readonly doublings: number;
  /** Pixels a side that are put into one at the beginning (Real-ESRGAN's x1 and x2): 1, 2 or 4. */
  readonly unshuffle: number;
  /** Pixels of the result for one of the picture, each way. */
  readonly scale: number;
}

/** Real-ESRGAN's small network (`SRVGGNetCompact` in BasicSR): a chain of convolutions at the picture's size. */
export interface SrvggStructure {
  readonly kind: "srvgg";
  readonly features: number;
  /** Convolutions, the first and the last counted in. */
  readonly convolutions: number;
  readonly unshuffle: 1;
  readonly scale: number;
}

export type UpscalerStructure = RrdbStructure | SrvggStructure;

const colours = 3;
const names = { rrdb: "RRDBNet", srvgg: "SRVGGNetCompact" } as const;

/** @throws ModelFileError UPSCALER_UNSUPPORTED where it is another network; CHECKPOINT_SHAPE where the tensors don't fit together */
export function structureOf(file: SafetensorsFile): UpscalerStructure {
  const structure = file.tensors.has("conv_first.weight") ? rrdbOf(file) : srvggOf(file);
  for (const [name, expected] of expectedShapes(structure)) {
    const found = file.tensors.get(name)?.shape;
    if (found === undefined || found.join() === expected.join()) continue; // what is missing is reported together when it loads
    throw new ModelFileError(
      "CHECKPOINT_SHAPE",
      `${file.source.name}: tensor "${printable(name)}" is [${found}], expected [${expected}]`,
      {
        hint: `by its other tensors it is a ${names[structure.kind]} of ${structure.features} channels: it is damaged`,
        context: { file: file.source.name, tensor: name, found, expected },
      },
    );
  }
  return structure;
}

function rrdbOf(file: SafetensorsFile): RrdbStructure {
  const features = outputs(file, "conv_first.weight");
  const growth = outputs(file, "body.0.rdb1.conv1.weight");
  const blocks = count((i) => file.tensors.has(`body.${i}.rdb1.conv1.weight`));
  const doublings = count((i) => file.tensors.has(`conv_up${i + 1}.weight`));
  const inputs = file.tensors.get("conv_first.weight")?.shape[1] ?? 0;
  const unshuffle = Math.sqrt(inputs / colours);
  const scale = 2 ** doublings / unshuffle;
  const last = outputs(file, "conv_last.weight");
  if (blocks === 0 || last !== colours || ![1, 2, 4].includes(unshuffle) || scale < 1 || doublings > 3) {
    throw unsupported(
      file,
      `an RRDBNet of ${blocks} blocks with ${inputs} channels in, ${last} out and ${doublings} doublings`,
      "networks of 3 colours that make a picture 1, 2, 4 or 8 times as large are known",
    );
  }
  expectFours(file, features, growth);
  return { kind: "rrdb", features, growth, blocks, doublings, unshuffle, scale };
}

function srvggOf(file: SafetensorsFile): SrvggStructure {
  const features = outputs(file, "body.0.weight");
  const layers = count((i) => file.tensors.has(`body.${i}.weight`));
  const scale = Math.sqrt(outputs(file, `body.${layers - 1}.weight`) / colours);
  const isPlain = layers % 2 === 1 && layers >= 3 && file.tensors.get("body.1.weight")?.shape.length === 1;
  if (!isPlain || !Number.isInteger(scale) || scale < 1 || file.tensors.get("body.0.weight")?.shape[1] !== colours) {
    throw unsupported(
      file,
      `a chain of ${layers} layers that ends in ${outputs(file, `body.${layers - 1}.weight`)} channels`,
      "of such networks Real-ESRGAN's SRVGGNetCompact with PReLU is known",
    );
  }
  expectFours(file, features);
  return { kind: "srvgg", features, convolutions: (layers + 1) / 2, unshuffle: 1, scale };
}

/** Every tensor of the network with its shape in the file. */
function expectedShapes(structure: UpscalerStructure): [name: string, shape: readonly number[]][] {
  const conv = (name: string, inputs: number, out: number, size = 3): [string, readonly number[]][] => [
    [`${name}.weight`, [out, inputs, size, size]],
    [`${name}.bias`, [out]],
  ];
  if (structure.kind === "srvgg") {
    const { features, convolutions, scale } = structure;
    return Array.from({ length: convolutions }, (_, i) => i).flatMap((i) => [
      ...conv(`body.${2 * i}`, i === 0 ? colours : features, i === convolutions - 1 ? colours * scale ** 2 : features),
      ...(i === convolutions - 1 ? [] : [[`body.${2 * i + 1}.weight`, [features]] as [string, readonly number[]]]),
    ]);
  }
  const { features, growth, blocks, doublings, unshuffle } = structure;
  const dense = Array.from({ length: blocks }, (_, n) => [1, 2, 3].map((i) => `body.${n}.rdb${i}`)).flat();
  return [
    ...conv("conv_first", colours * unshuffle ** 2, features),
    ...dense.flatMap((path) => [
      ...[1, 2, 3, 4, 5].flatMap((j) => conv(`${path}.conv${j}`, features + (j - 1) * growth, j === 5 ? features : growth)),
      [`${path}.conv1x1.weight`, [growth, features, 1, 1]] as [string, readonly number[]],
    ]),
    ...["conv_body", ...Array.from({ length: doublings }, (_, i) => `conv_up${i + 1}`), "conv_hr"].flatMap((name) =>
      conv(name, features, features),
    ),
    ...conv("conv_last", features, colours),
  ];
}

function outputs(file: SafetensorsFile, name: string): number {
  return file.tensors.get(name)?.shape[0] ?? 0;
}

/** How many from 0 on there are. */
function count(there: (index: number) => boolean): number {
  let index = 0;
  while (there(index)) index++;
  return index;
}

/** Channels are read in fours, and a dense block joins its maps without gaps. */
function expectFours(file: SafetensorsFile, ...widths: readonly number[]): void {
  const odd = widths.find((width) => width % 4 !== 0);
  if (odd !== undefined) throw unsupported(file, `maps of ${odd} channels`, "widths that are multiples of 4 are known");
}

export function unsupported(file: Pick<SafetensorsFile, "source">, found: string, hint: string): ModelFileError {
  return new ModelFileError("UPSCALER_UNSUPPORTED", `${file.source.name}: this is no upscaler that limn knows: ${found}`, {
    hint,
    context: { file: file.source.name },
  });
}
