/** @file Which weights of a model an add-on changes; or that it is for another model. */
import { ModelFileError } from "../../engine/errors.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Family, ModelConfig } from "../checkpoint/config.ts";
import type { Target } from "../checkpoint/load-plan.ts";
import { printable } from "../checkpoint/printable.ts";
import { type DeltaForm, type DeltaSize, deltaForms, type Parts } from "./forms/index.ts";
import type { Adapter, LoraFile } from "./lora-file.ts";
import { moduleNames, type Place } from "./module-names.ts";
import { type Found, type WindowSize, weightsByName, windowOf } from "./weight-windows.ts";

/** One change of one tensor on the device. */
export interface Change {
  readonly adapter: Adapter;
  readonly component: "unet" | "text";
  readonly target: Target;
  readonly window: WindowSize;
  /** Undefined for (IA)3, which has factors and no D. */
  readonly form: DeltaForm | undefined;
  readonly size: DeltaSize | undefined;
  /** The module's bias, by `diff_b` or `b_norm`. */
  readonly isBias: boolean;
}

export interface Match {
  readonly changes: readonly Change[];
  /** Modules of the add-on that the model has, and all of them. */
  readonly matched: number;
  readonly total: number;
  readonly warnings: readonly string[];
}

export interface LoraModel {
  readonly config: ModelConfig;
  /** Of the U-Net and the text encoders, loaded. */
  readonly checkpoint: Checkpoint;
}

/** @throws ModelFileError LORA_WRONG_FAMILY, LORA_NO_MATCH, LORA_SHAPE */
export function matchLora(lora: LoraFile, { config, checkpoint }: LoraModel): Match {
  const places = moduleNames(config, checkpoint.file.tensors.keys());
  const weights = weightsByName(checkpoint);
  const total = lora.adapters.length;
  expectFamily(lora, config);
  const changes: Change[] = [];
  const unmatched: string[] = [];
  const misfits: string[] = [];
  for (const adapter of lora.adapters) {
    const place = places.get(adapter.module);
    const found = place ? changesOf(adapter, place, weights) : [];
    if (typeof found === "string") misfits.push(found);
    else if (found.length === 0) unmatched.push(adapter.module);
    else changes.push(...found);
  }
  const matched = total - unmatched.length;
  if (matched === 0) throw noMatch(lora, config.family);
  if (misfits.length > 0) throw misfit(lora, misfits, { matched: matched - misfits.length, total });
  const warnings = unmatched.length === 0 ? [] : [partly(lora, unmatched, { matched, total })];
  return { changes, matched, total, warnings };
}

/** The changes that an adapter makes at a place of the model, none if the model has no such weight; or why it can't be for this one. */
function changesOf(adapter: Adapter, place: Place, weights: ReadonlyMap<string, Found>): Change[] | string {
  const changes: Change[] = [];
  const { component } = place;
  const parts = shapesOf(adapter);
  const weight = weights.get(place.weight);
  const form = deltaForms.find((one) => one.has(parts));
  const gain = adapter.parts.get("weight");
  if (weight && (form || gain)) {
    const window = windowOf(weight, place.third);
    const size = form?.size(parts);
    const fits = form
      ? size && suits(adapter, size, window)
      : [window.outputs, window.inner / window.taps].includes(count(gain!.shape));
    if (!fits) return describeMisfit(adapter, form, size, window);
    changes.push({ adapter, component, target: weight.target, window, form, size, isBias: false });
  }
  const bias = weights.get(place.bias);
  const shift = adapter.parts.get("diff_b") ?? adapter.parts.get("b_norm");
  if (bias && shift) {
    const window = windowOf(bias, place.third);
    const size = { outputs: count(shift.shape), inner: 1, rank: undefined };
    if (size.outputs !== window.outputs) return describeMisfit(adapter, undefined, size, window);
    changes.push({ adapter, component, target: bias.target, window, form: undefined, size, isBias: true });
  }
  return changes;
}

/** Equal sizes; and an add-on made on 4 input channels fits a model with more of them (9 for inpainting), but without DoRA's norms. */
function suits(adapter: Adapter, { outputs, inner }: DeltaSize, window: WindowSize): boolean {
  if (outputs !== window.outputs) return false;
  const magnitude = adapter.parts.get("dora_scale");
  if (magnitude && ![outputs, window.inner / window.taps].includes(count(magnitude.shape))) return false;
  const rescale = adapter.parts.get("rescale");
  if (rescale && count(rescale.shape) !== outputs) return false;
  if (inner === undefined || inner === window.inner) return true;
  return inner === 4 * window.taps && window.inner > inner && window.taps > 1 && magnitude === undefined;
}

function shapesOf(adapter: Adapter): Parts {
  return {
    shape: (part) => adapter.parts.get(part)?.shape,
    values: () => Promise.reject(new RangeError("shapes alone tell the size of a change")),
  };
}

const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Inputs of cross-attention's keys, by which the families differ. */
const families: Readonly<Record<number, string>> = { 768: "SD 1", 1024: "SD 2", 1280: "the SDXL refiner", 2048: "SDXL" };
const familyNames: Readonly<Record<Family, string>> = {
  sd1: "SD 1",
  sd2: "SD 2",
  sdxl: "SDXL",
  "sdxl-refiner": "the SDXL refiner",
};

function expectFamily(lora: LoraFile, { unet, family }: ModelConfig): void {
  for (const adapter of lora.adapters) {
    if (!/attn2_to_[kv]$/.test(adapter.module)) continue;
    const parts = shapesOf(adapter);
    const inner = deltaForms.find((form) => form.has(parts))?.size(parts)?.inner;
    if (inner === undefined || inner === unet.contextDim) continue;
    const trained = lora.file.metadata.get("ss_base_model_version");
    const of = families[inner] ?? (trained === undefined ? "another model" : `another model (${printable(trained, 40)})`);
    throw new ModelFileError(
      "LORA_WRONG_FAMILY",
      `${lora.name}: this LoRA is for ${of}, the model is ${familyNames[family]}: its attention reads contexts of ${inner} numbers, the model's are ${unet.contextDim}`,
      {
        hint: `use a LoRA for ${familyNames[family]}, or a model of the LoRA's family`,
        context: { file: lora.name, lora: inner, model: unet.contextDim, total: lora.adapters.length },
      },
    );
  }
}

function noMatch(lora: LoraFile, family: Family): ModelFileError {
  const total = lora.adapters.length;
  const first = printable(lora.adapters[0]?.module ?? "");
  return new ModelFileError(
    "LORA_NO_MATCH",
    `${lora.name}: 0 of ${total} modules of this LoRA are in the model (first: ${first})`,
    {
      hint: `use a LoRA for ${familyNames[family]}; \`limn inspect\` shows what a file holds`,
      context: { file: lora.name, matched: 0, total },
    },
  );
}

function describeMisfit(adapter: Adapter, form: DeltaForm | undefined, size: DeltaSize | undefined, window: WindowSize): string {
  const name = printable(adapter.module);
  const shapes = [...adapter.parts].map(([part, { shape }]) => `${part} [${shape}]`).join(", ");
  if (form && size === undefined) return `${name}: no ${form.name} can be made of ${shapes}`;
  return `${name}: ${shapes} do not fit a weight [${window.outputs}, ${window.inner}]`;
}

function misfit(
  lora: LoraFile,
  misfits: readonly string[],
  { matched, total }: { matched: number; total: number },
): ModelFileError {
  return new ModelFileError(
    "LORA_SHAPE",
    `${lora.name}: ${misfits.length} of ${total} modules do not fit the model, ${matched} do; ${misfits[0]}`,
    {
      hint: "the LoRA is damaged, or for a model of another size",
      context: { file: lora.name, matched, total, misfits: misfits.slice(0, 10) },
    },
  );
}

function partly(lora: LoraFile, unmatched: readonly string[], { matched, total }: { matched: number; total: number }): string {
  const shown = unmatched.slice(0, 3).map((name) => printable(name));
  return `${lora.name}: ${matched} of ${total} modules of this LoRA are in the model, the others are left out (${shown.join(", ")}${unmatched.length > 3 ? ", ..." : ""})`;
}
