/** @file The texts in a grid's PNG: of its first picture as A1111's X/Y/Z plot writes them, and the axes. */
import type { GridOptions } from "../syntax/options.ts";
import type { Axis } from "./axis.ts";
import type { Axes } from "./cells.ts";

const keyword = "limn-grid";

export function gridTexts(axes: Axes, { line }: GridOptions, first: ReadonlyMap<string, string>): Record<string, string> {
  const used = axes.map((axis, index) => ({ letter: "XYZ"[index]!, axis })).filter(({ axis }) => axis.name !== "");
  const entries = used.flatMap(({ letter, axis }) => [
    `${letter} Type: ${titled(axis.name)}`,
    `${letter} Values: ${JSON.stringify(axis.text)}`,
  ]);
  const parameters = first.get("parameters");
  const described = used.map(({ letter, axis }) => [
    letter.toLowerCase(),
    { option: axis.name, values: axis.values.map(({ label }) => label) },
  ]);
  const own = JSON.stringify({ schema: "limn.grid/v1", arguments: ["grid", ...line.words], axes: Object.fromEntries(described) });
  return {
    ...(parameters === undefined ? {} : { parameters: [parameters, "Script: X/Y/Z plot", ...entries].join(", ") }),
    [keyword]: own,
  };
}

/** A1111's name of an axis, where it has one. */
function titled(name: Axis["name"]): string {
  const own: Readonly<Record<string, string>> = {
    guidance: "CFG Scale",
    prompt: "Prompt S/R",
    model: "Checkpoint name",
    schedule: "Schedule type",
    strength: "Denoising",
    "variation-seed": "Var. seed",
    "variation-strength": "Var. strength",
  };
  return own[name] ?? name.replaceAll("-", " ").replace(/^./, (letter) => letter.toUpperCase());
}
