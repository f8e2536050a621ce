/**
 * @file Hypernetworks (NovelAI; AUTOMATIC1111's web UI, modules/hypernetworks/hypernetwork.py): small networks that change what the keys and
 * values of an attention are made from, c' = c + strength net(c), one pair for each width of context.
 */
import { type Device, ModelFileError, type Tensor } from "../../engine/index.ts";
import { add, scale, type TorchActivation, torchActivation, torchActivations } from "../../kernels/index.ts";
import type { ByteSource } from "../checkpoint/byte-source.ts";
import { checkedSource } from "../checkpoint/checked-source.ts";
import { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { UNetConfig } from "../checkpoint/config.ts";
import { PickleDict } from "../checkpoint/pickle/objects.ts";
import { torchForm } from "../checkpoint/pickle/torch-archive.ts";
import { openTorch, type TorchFile } from "../checkpoint/pickle/torch-file.ts";
import { printable } from "../checkpoint/printable.ts";
import type { Weights } from "../checkpoint/weights.ts";
import { LayerNorm, Linear } from "../layers.ts";
import type { ContextChange, ContextChanges } from "../unet/context-change.ts";

/** A file, its header read: the networks are made by `loadHypernetwork`. */
export interface HypernetworkFile {
  readonly file: TorchFile;
  /** As the file calls itself, if it does. */
  readonly name: string | undefined;
  /** Of the contexts that it changes. */
  readonly widths: readonly number[];
  readonly activation: TorchActivation | undefined;
  /** Whether the last layer has the activation too. */
  readonly activateOutput: boolean;
}

/** What it is called in the file where torch has another name, or where it does nothing. */
const activationNames: ReadonlyMap<string, TorchActivation | undefined> = new Map<string, TorchActivation | undefined>([
  ...torchActivations.map((name) => [name, name] as const),
  ["linear", undefined],
  ["identity", undefined],
  ["swish", "hardswish"], // as the web UI has it
  ["celu", "elu"], // the same with its default alpha of 1
]);

/** @throws ModelFileError NOT_A_HYPERNETWORK, HYPERNETWORK_ACTIVATION, and those of openTorch */
export async function openHypernetwork(given: ByteSource): Promise<HypernetworkFile> {
  const source = checkedSource(given);
  const start = await source.read(0, Math.min(64, source.size));
  const file = torchForm(start) === undefined ? undefined : await openTorch(source);
  const root = file?.root;
  const widths = root instanceof PickleDict ? [...root.entries.keys()].filter((key) => typeof key === "number") : [];
  const complete = widths.every((width) =>
    ["0", "1"].every((net) => /^linear(\.\d|1)/m.test(layersBelow(file, `${width}.${net}.`))),
  );
  if (!file || !(root instanceof PickleDict) || widths.length === 0 || !complete) {
    throw new ModelFileError(
      "NOT_A_HYPERNETWORK",
      `${source.name}: this is no hypernetwork: it has no networks by width of context`,
      {
        hint: "a hypernetwork is a .pt file of AUTOMATIC1111's web UI; a LoRA goes with --lora",
        context: { file: source.name },
      },
    );
  }
  const text = (key: string): string | undefined => {
    const value = root.get(key);
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const stated = text("activation_func")?.toLowerCase();
  if (stated !== undefined && !activationNames.has(stated)) {
    throw new ModelFileError(
      "HYPERNETWORK_ACTIVATION",
      `${source.name}: its activation "${printable(stated, 40)}" is not known`,
      {
        hint: `known are ${[...activationNames.keys()].join(", ")}`,
        context: { file: source.name, activation: printable(stated, 40) },
      },
    );
  }
  return {
    file,
    name: text("name"),
    widths: widths.sort((a, b) => a - b),
    activation: stated === undefined ? undefined : activationNames.get(stated),
    activateOutput: root.get("activate_output") !== false,
  };
}

function layersBelow(file: TorchFile | undefined, path: string): string {
  const names = [...(file?.tensors.keys() ?? [])].filter((name) => name.startsWith(path));
  return names.map((name) => name.slice(path.length)).join("\n");
}

/** Linear layers with activations and norms between. */
class ContextNet {
  readonly layers: readonly ((x: Tensor) => Tensor)[];

  constructor(weights: Weights, { file, activation, activateOutput }: HypernetworkFile, width: number) {
    const names = [...file.tensors.keys()]
      .filter((name) => name.startsWith(`${weights.path}.`))
      .map((name) => name.slice(weights.path.length + 1));
    const indices = new Set(names.flatMap((name) => /^linear\.(\d+)\.weight$/.exec(name)?.[1] ?? []));
    // The first ones had two layers under names of their own, and no activation.
    const paths =
      indices.size > 0
        ? [...indices].sort((a, b) => Number(a) - Number(b)).map((index) => `linear.${index}`)
        : ["linear1", "linear2"];
    const shapes = paths.map((path) => weights.shape(`${path}.weight`));
    expectChain(file, weights.path, shapes, width);
    const last = shapes.findLastIndex(({ length }) => length === 2);
    this.layers = paths.flatMap((path, i): ((x: Tensor) => Tensor)[] => {
      if (shapes[i]!.length === 1) {
        const norm = new LayerNorm(weights.at(path));
        return [(x) => norm.forward(x)];
      }
      const linear = new Linear(weights.at(path));
      const apply = (x: Tensor): Tensor => linear.forward(x);
      if (activation === undefined || indices.size === 0 || (i === last && !activateOutput)) return [apply];
      return [apply, (x) => torchActivation(x, activation)];
    });
  }

  /** x [N, S, D] -> [N, S, D] */
  forward(x: Tensor): Tensor {
    return this.layers.reduce((h, layer) => layer(h), x);
  }
}

/** Each layer takes what the one before gives; the first takes the context, the last gives one. @throws ModelFileError HYPERNETWORK_SHAPE */
function expectChain({ source }: TorchFile, path: string, shapes: readonly (readonly number[])[], width: number): void {
  let at = width;
  for (const shape of shapes) {
    const takes = shape.length === 2 ? shape[1] : shape[0];
    const gives = shape[0] ?? 0;
    if (takes !== at || shape.length < 1 || shape.length > 2 || gives % 4 !== 0)
      refuseShape(source.name, path, `a layer [${shape}] where ${at} numbers come in`);
    at = gives;
  }
  if (at !== width) refuseShape(source.name, path, `${at} numbers come out where ${width} go in`);
}

function refuseShape(file: string, path: string, fact: string): never {
  throw new ModelFileError("HYPERNETWORK_SHAPE", `${file}: network ${path}: ${fact}`, {
    hint: "the file is damaged: get it from its source",
    context: { file, network: path },
  });
}

/** A hypernetwork on the device. */
export interface Hypernetwork {
  readonly nets: ReadonlyMap<number, { readonly keys: ContextNet; readonly values: ContextNet }>;
  free(): void;
}

/**
 * Loads those networks that the model has a use for.
 * @throws ModelFileError HYPERNETWORK_FAMILY, HYPERNETWORK_SHAPE, and those of Checkpoint.build
 */
export async function loadHypernetwork(device: Device, opened: HypernetworkFile, unet: UNetConfig): Promise<Hypernetwork> {
  const used = usedWidths(opened, unet);
  const checkpoint = new Checkpoint(opened.file, device, { family: "hypernetwork" });
  try {
    const nets = await checkpoint.build((weights) =>
      used.map((width) => {
        const [keys, values] = ["0", "1"].map((net) => new ContextNet(weights.at(`${width}.${net}`), opened, width));
        return [width, { keys: keys!, values: values! }] as const;
      }),
    );
    return { nets: new Map(nets), free: () => checkpoint.free() };
  } catch (error) {
    checkpoint.free();
    throw error;
  }
}

/** Widths of the U-Net's attentions: of the prompt's context, and of the levels' channels. */
function usedWidths({ file, widths }: HypernetworkFile, { contextDim, modelChannels, channelMult, depth }: UNetConfig): number[] {
  const levels = channelMult.flatMap((factor, level) => (depth[level] ? [factor * modelChannels] : []));
  const all = [contextDim, ...levels, modelChannels * channelMult.at(-1)!];
  const used = widths.filter((width) => all.includes(width));
  // Levels are as wide in SD 1 and 2, the context tells them apart.
  if (used.length > 0 && (used.length === widths.length || used.includes(contextDim))) return used;
  throw new ModelFileError(
    "HYPERNETWORK_FAMILY",
    `${file.source.name}: the hypernetwork is for contexts ${widths.join(", ")} wide, this model's is ${contextDim}`,
    {
      hint: "768 is Stable Diffusion 1, 1024 Stable Diffusion 2: use it with a model of its family",
      context: { file: file.source.name, widths, contextDim },
    },
  );
}

/** Hypernetworks at their strengths, one after the other. */
export class Hypernetworks implements ContextChanges {
  readonly #list: readonly { readonly hypernetwork: Hypernetwork; readonly strength: number }[];

  constructor(list: readonly { readonly hypernetwork: Hypernetwork; readonly strength: number }[]) {
    this.#list = list;
  }

  at(width: number): ContextChange | undefined {
    const acting = this.#list.flatMap(({ hypernetwork, strength }) => {
      const pair = hypernetwork.nets.get(width);
      return pair && strength !== 0 ? [{ pair, strength }] : [];
    });
    if (acting.length === 0) return undefined;
    const change = (part: "keys" | "values") => (context: Tensor) =>
      context.device.scope(() =>
        acting.reduce((c, { pair, strength }) => add(c, scale(pair[part].forward(c), strength)), context),
      );
    return { keys: change("keys"), values: change("values") };
  }
}
