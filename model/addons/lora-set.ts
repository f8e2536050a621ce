/**
 * @file The LoRAs that a loaded model has merged into its weights. A weight that is to change is read from the model's file again, in f32,
 * changed there by one LoRA after the other, and rounded once into the tensor that the model has had all along (only an f16 one of a
 * model in f32 is replaced, once): what was recorded with it stays valid, and taking a LoRA off gives the same bits as if it had never been there.
 */
import { ModelFileError, type Tensor, UsageError } from "../../engine/index.ts";
import { cast, countNonFinite } from "../../kernels/index.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Target } from "../checkpoint/load-plan.ts";
import type { LoraFile } from "./lora-file.ts";
import { type Change, type LoraModel, matchLora } from "./lora-match.ts";
import { type DoraRule, prepareMerge } from "./lora-merge.ts";

/** A LoRA and how strongly it counts. */
export interface LoraUse {
  readonly lora: LoraFile;
  /** Strength in the text encoders, and in the U-Net. */
  readonly text: number;
  readonly unet: number;
  /** Use the first ranks only. */
  readonly rank?: number | undefined;
  /** Its name in the prompt's tag, if it comes from one. */
  readonly tag?: string | undefined;
}

export interface ApplyOptions {
  /** Whose rule for DoRA's norms. Default ComfyUI's. */
  readonly dora?: DoraRule | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `apply` did: whether any weight is another one now, and what a user should know. */
export interface Applied {
  readonly changed: boolean;
  readonly warnings: readonly string[];
}

/** Most LoRAs at a time. */
export const maxUses = 16;
/** Bytes of f32 weights beside the model's own while it is changed. */
const batchBytes = 256 * 1024 * 1024;

interface Work {
  readonly change: Change;
  readonly lora: LoraFile;
  readonly strength: number;
  readonly rank: number | undefined;
}

export class LoraSet {
  readonly #model: LoraModel;
  /** Tensors that may not hold what the file says. */
  readonly #touched = new Set<Target>();
  /** What is merged; undefined after a failure on the way. */
  #merged: { readonly uses: readonly LoraUse[]; readonly dora: DoraRule } | undefined = { uses: [], dora: "comfy" };
  #warnings: readonly string[] = [];

  constructor(model: LoraModel) {
    this.#model = model;
  }

  /**
   * Makes the model's weights those with `uses` merged, and with no other. Does nothing where they are already; the same file twice counts with
   * the sum of its strengths. What it took beside the weights is free then, in the device's pool. Of a failed call the next one makes good.
   * @throws ModelFileError LORA_WRONG_FAMILY, LORA_NO_MATCH, LORA_SHAPE, LORA_NONFINITE and those of reading; UsageError LORA_TOO_MANY; the signal's reason
   */
  async apply(uses: readonly LoraUse[], { dora = "comfy", signal }: ApplyOptions = {}): Promise<Applied> {
    const wanted = summed(uses);
    if (this.#merged && this.#merged.dora === dora && sameUses(this.#merged.uses, wanted))
      return { changed: false, warnings: this.#warnings };
    const { checkpoint } = this.#model;
    const { work, warnings } = this.#widened(this.#plan(wanted));
    const patched = new Map<Target, Work[]>();
    for (const one of work) patched.set(one.change.target, [...(patched.get(one.change.target) ?? []), one]);
    const changed = this.#touched.size > 0 || patched.size > 0;
    this.#merged = undefined;
    const restored = [...this.#touched].filter((target) => !patched.has(target));
    if (restored.length > 0) await checkpoint.stream(restored, signal ? { signal } : {});
    for (const target of restored) this.#touched.delete(target);
    for (const batch of batches([...patched])) {
      signal?.throwIfAborted();
      await this.#merge(batch, dora, signal);
    }
    this.#merged = { uses: wanted, dora };
    this.#warnings = warnings;
    return { changed, warnings };
  }

  /** What is to be done for a list of LoRAs: all of them are looked at before the first weight changes. */
  #plan(uses: readonly LoraUse[]): { work: Work[]; warnings: string[] } {
    if (uses.length > maxUses) {
      throw new UsageError("LORA_TOO_MANY", `${uses.length} LoRAs at a time, at most ${maxUses} can be merged`, {
        hint: "leave some out",
        context: { count: uses.length },
      });
    }
    const [work, warnings]: [Work[], string[]] = [[], []];
    for (const { lora, text, unet, rank } of uses) {
      const match = matchLora(lora, this.#model);
      warnings.push(...match.warnings);
      for (const change of match.changes) {
        const strength = change.component === "text" ? text : unet;
        if (strength !== 0) work.push({ change, lora, strength, rank });
      }
    }
    return { work, warnings };
  }

  /** The same on f32 tensors, where the model computes in f32 and has its file's f16: a sum is not to be rounded to that. */
  #widened({ work, warnings }: { work: Work[]; warnings: string[] }): { work: Work[]; warnings: string[] } {
    const widened = this.#model.checkpoint.widen(work.map(({ change }) => change.target));
    for (const target of widened.values()) this.#touched.add(target);
    const targetOf = ({ target }: Change): Target => widened.get(target) ?? target;
    return { work: work.map((one) => ({ ...one, change: { ...one.change, target: targetOf(one.change) } })), warnings };
  }

  /** Changes some tensors, each read from the file first. */
  async #merge(batch: readonly (readonly [Target, Work[]])[], dora: DoraRule, signal: AbortSignal | undefined): Promise<void> {
    const { checkpoint } = this.#model;
    const { device } = checkpoint;
    const scratch = new Map<Target, Target>();
    const counter = device.upload(new Uint32Array(1), [1], "u32", "non-finite weights");
    try {
      for (const [target] of batch) {
        this.#touched.add(target);
        const tensor = target.dtype === "f32" ? target.tensor : device.empty(target.tensor.shape, "f32", target.label);
        scratch.set(target, { ...target, tensor, dtype: "f32" });
      }
      await checkpoint.stream([...scratch.values()], signal ? { signal } : {});
      for (const [target, work] of batch) {
        const { tensor } = scratch.get(target)!;
        for (const { change, lora, strength, rank } of work) {
          signal?.throwIfAborted();
          const merge = await prepareMerge(lora.file, change, { strength, rank, dora });
          device.scope(() => merge({ ...change.window, tensor }));
        }
        device.scope(() => store(checkpoint, tensor, target));
        countNonFinite(target.tensor, counter);
      }
      const [broken = 0] = await counter.readU32();
      if (broken > 0) throw nonFinite(batch, broken);
    } finally {
      counter.free();
      for (const [target, { tensor }] of scratch) if (tensor !== target.tensor) tensor.free();
    }
  }
}

/** Rounds an f32 weight into the tensor that the model has. */
function store({ device }: Checkpoint, tensor: Tensor, target: Target): void {
  if (tensor !== target.tensor) device.copy(cast(tensor, target.dtype), target.tensor);
}

/** Targets in groups whose f32 copies stay small; one alone may be larger. */
function batches<T extends readonly [Target, ...unknown[]]>(all: readonly T[]): T[][] {
  const groups: T[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const one of all) {
    const size = one[0].tensor.size * 4;
    if (bytes + size > batchBytes) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)!.push(one);
    bytes += size;
  }
  return groups;
}

/** Each file once, where it was first named. */
function summed(uses: readonly LoraUse[]): LoraUse[] {
  const byFile = new Map<LoraFile, LoraUse>();
  for (const use of uses) {
    const before = byFile.get(use.lora);
    byFile.set(use.lora, before ? { ...before, ...use, text: before.text + use.text, unet: before.unet + use.unet } : use);
  }
  return [...byFile.values()];
}

function sameUses(one: readonly LoraUse[], other: readonly LoraUse[]): boolean {
  return (
    one.length === other.length &&
    one.every((use, i) => {
      const { lora, text, unet, rank } = other[i]!;
      return use.lora === lora && use.text === text && use.unet === unet && use.rank === rank;
    })
  );
}

function nonFinite(batch: readonly (readonly [Target, Work[]])[], broken: number): ModelFileError {
  const names = [...new Set(batch.flatMap(([, work]) => work.map(({ lora }) => lora.name)))];
  return new ModelFileError("LORA_NONFINITE", `${names.join(" + ")}: ${broken} merged weights are NaN or infinite`, {
    hint: "use a smaller strength; if that does not help, the LoRA is broken: get another",
    context: { files: names, count: broken },
  });
}
