/** @file Checks of shapes that name the axes, and grids of workgroups. */
import { ShapeError } from "./errors.ts";
import type { Tensor } from "./tensor.ts";

export interface ShapeRules<Axis extends string> {
  /** Axes of a known size. */
  readonly sizes?: Partial<Record<Axis, number>>;
  /** An axis that must be even. */
  readonly even?: Axis;
  /** What to do when it doesn't fit. */
  readonly hint?: string;
}

/**
 * The sizes of `tensor` by axis name: `const { rows, width } = expectShape("geglu", x, ["rows", "width"])`. A first axis written
 * "...rows" gathers all leading axes into one. Throws a ShapeError that gives both shapes.
 */
export function expectShape<const Axes extends readonly string[]>(
  op: string,
  tensor: Tensor,
  axes: Axes,
  rules: ShapeRules<AxisName<Axes[number]>> = {},
): Record<AxisName<Axes[number]>, number> {
  const gathers = axes[0]?.startsWith("...") ?? false;
  const names = axes.map((axis) => axis.replace("...", "")) as AxisName<Axes[number]>[];
  const extra = tensor.shape.length - names.length;
  const wanted = `[${axes.join(", ")}]`;
  if (gathers ? extra < -1 : extra !== 0)
    throw new ShapeError(`${op}: ${describe(tensor)} does not have the axes ${wanted}`, hintOf(rules));
  const sizes = gathers
    ? [tensor.shape.slice(0, extra + 1).reduce((a, b) => a * b, 1), ...tensor.shape.slice(extra + 1)]
    : [...tensor.shape];
  const result = {} as Record<AxisName<Axes[number]>, number>;
  for (const [i, name] of names.entries()) {
    const size = sizes[i]!;
    const known = rules.sizes?.[name];
    if (known !== undefined && known !== size)
      throw new ShapeError(`${op}: ${name} of ${describe(tensor)} is ${size}, expected ${known}`, hintOf(rules));
    if (rules.even === name && size % 2 !== 0)
      throw new ShapeError(`${op}: ${name} of ${describe(tensor)} is ${size}, expected an even number`, hintOf(rules));
    result[name] = size;
  }
  return result;
}

type AxisName<T extends string> = T extends `...${infer Name}` ? Name : T;

function hintOf(rules: { readonly hint?: string }) {
  return rules.hint === undefined ? {} : { hint: rules.hint };
}

/** `x f32[2, 64]`: how errors speak of a tensor. */
export function describe(tensor: Tensor): string {
  return tensor.label;
}

/** @throws ShapeError with both shapes */
export function expectSameShape(op: string, a: Tensor, b: Tensor): void {
  if (a.shape.length !== b.shape.length || a.shape.some((size, i) => size !== b.shape[i])) {
    throw new ShapeError(`${op}: shapes differ - [${a.shape.join(", ")}] and [${b.shape.join(", ")}]`);
  }
}

/** Workgroups along x, y and z. */
export type Grid = readonly [x: number, y?: number, z?: number];

const maxGroups = 65535;

/** One invocation an element: `count` of them in workgroups of `workgroupSize`, folded into y above 65,535 groups. */
export function perElement(count: number, workgroupSize = 64): Grid {
  return foldGroups(Math.ceil(count / workgroupSize));
}

/** A 1-D list of `groups` workgroups, folded into y above 65,535; kernels undo it with `group_id.x + group_id.y * num_workgroups.x`. */
export function foldGroups(groups: number): Grid {
  if (groups <= maxGroups) return [groups, 1, 1];
  const y = Math.ceil(groups / maxGroups);
  return [Math.ceil(groups / y), y, 1];
}
