/** @file What came of making a picture again, and why it may differ, for people. */

import { printable } from "../../model/checkpoint/printable.ts";
import type { Difference } from "./difference.ts";
import type { FoundFile } from "./found-files.ts";
import type { PictureRecipe } from "./recipe.ts";

type Machine = NonNullable<PictureRecipe["made"]>;
type Size = { readonly width: number; readonly height: number };

export interface Comparison {
  readonly recipe: PictureRecipe;
  readonly files: readonly FoundFile[];
  readonly old: Size;
  readonly new: Size;
  /** Undefined where the sizes differ. */
  readonly difference: Difference | undefined;
  readonly tolerance: number;
  /** That made it now. */
  readonly machine: Machine;
}

/** Whether no channel of any pixel is further off than the tolerance. */
export function isSame({ difference }: Pick<Comparison, "difference">): boolean {
  return difference !== undefined && difference.beyond === 0;
}

export function describeComparison(comparison: Comparison): string[] {
  const { files, recipe } = comparison;
  return [
    `${"made by".padEnd(11)} ${printable(recipe.generator)}`,
    ...files.map(
      ({ kind, path, proved }) =>
        `${kind.padEnd(11)} ${printable(path, 4096)} (${proved ? "its hash is the picture's" : "its hash is not known to be the picture's"})`,
    ),
    `${"result".padEnd(11)} ${result(comparison)}`,
    ...(isSame(comparison)
      ? []
      : reasons(comparison).map((text, index) => `${(index === 0 ? "because of" : "").padEnd(11)} ${text}`)),
  ];
}

function result({ old, new: now, difference, tolerance }: Comparison): string {
  if (!difference) return `the sizes differ: it is ${old.width}x${old.height}, made again ${now.width}x${now.height}`;
  const { largest, beyond, psnr } = difference;
  if (largest === 0) return "identical, every pixel";
  const share = ((100 * beyond) / (3 * old.width * old.height)).toPrecision(3);
  const far = `largest difference ${largest} of 255, PSNR ${psnr.toFixed(1)} dB`;
  return beyond === 0
    ? `the same within ${tolerance}: ${far}`
    : `different: ${far}, ${share} % of the values off by more than ${tolerance}`;
}

/** What may be the reason, the likeliest first. */
function reasons({ recipe, files, machine }: Comparison): string[] {
  const unproved = files.filter(({ proved }) => !proved).map(({ kind }) => kind);
  const known = [
    ...(unproved.length > 0 ? [`files that may be others: ${unproved.join(", ")}`] : []),
    ...recipe.unknown.slice(0, 20).map((text) => `not taken into account: ${printable(text, 200)}`),
    ...machineReasons(recipe, machine),
  ];
  return known.length > 0 ? known : ["the picture was changed after it was made, or another version of limn made it"];
}

function machineReasons({ source, made }: PictureRecipe, machine: Machine): string[] {
  const usual = "values off by a few are usual then (1 to 3 in f32, more in f16), and --tolerance accepts them";
  if (source !== "limn") return [`another program made it, which rounds otherwise: ${usual}`];
  if (!made?.adapter) return [`it does not say which machine made it; on another one, ${usual}`];
  if (made.tier === machine.tier && made.precision === machine.precision && made.adapter === machine.adapter) return [];
  const words = ({ adapter, tier, precision }: Machine) => printable(`${adapter} (tier ${tier}, ${precision})`, 300);
  return [`it was made on ${words(made)}, and now on ${words(machine)}: ${usual}`];
}
