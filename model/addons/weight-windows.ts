/** @file Where the weights of a model's file lie on the device. */
import type { WeightWindow } from "../../kernels/index.ts";
import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import type { Part, Target } from "../checkpoint/load-plan.ts";

/** A window whose tensor is not chosen yet. */
export type WindowSize = Omit<WeightWindow, "tensor">;

/** A tensor on the device, and the one of the file that lies in it or in a part of it. */
export interface Found {
  readonly target: Target;
  readonly part: Part;
}

/** Every weight that the model uses, by its name in the file. */
export function weightsByName({ targets }: Checkpoint): ReadonlyMap<string, Found> {
  return new Map(targets.flatMap((target) => target.parts.map((part) => [part.entry.name, { target, part }] as const)));
}

/** The window of a weight; `third`: only the queries, keys or values of OpenCLIP's joint matrix. */
export function windowOf({ target, part }: Found, third?: 0 | 1 | 2): WindowSize {
  const { layout } = target;
  const [first = 1, second = 1] = part.entry.shape;
  // OpenCLIP's projection stands as [in, out] in the file, and add-ons have it as [out, in] as all else.
  if (target.isMatrix && layout.inner === 1) {
    return { outputs: second, inner: first, taps: 1, rowInputs: first, width: second, column: 0 };
  }
  const { inner, taps, inputs, width } = layout;
  const whole = { outputs: first, inner, taps, rowInputs: inputs, width, column: part.column };
  if (third === undefined) return whole;
  return { ...whole, outputs: first / 3, column: part.column + (third * first) / 3 };
}

/** A weight by its name in the file; undefined if the model does not use it. */
export function windowOfWeight(checkpoint: Checkpoint, name: string): (Found & { readonly window: WindowSize }) | undefined {
  const found = weightsByName(checkpoint).get(name);
  return found && { ...found, window: windowOf(found) };
}
