/** @file How much of each family's tensors a file has, by their names: what it may be where it is not whole. */
import type { SafetensorsFile } from "./safetensors.ts";
import { type StandInFamily, standInFamilies, standInTensors } from "./stand-in.ts";

const labels: Readonly<Record<StandInFamily, string>> = {
  sd15: "SD 1.5",
  sd21: "SD 2.1",
  sdxl: "SDXL",
  "sdxl-refiner": "the XL refiner",
};

/** "97 % of SD 1.5's tensors, 61 % of SD 2.1's, ...", the nearest first. */
export function familyNearness({ tensors }: Pick<SafetensorsFile, "tensors">): string {
  const shares = standInFamilies.map((family) => {
    const names = namesOf(family);
    return { label: labels[family], share: names.filter((name) => tensors.has(name)).length / names.length };
  });
  return shares
    .sort((a, b) => b.share - a.share)
    .map(({ label, share }, i) => `${Math.round(100 * share)} % of ${label}'s${i === 0 ? " tensors" : ""}`)
    .join(", ");
}

const known = new Map<StandInFamily, readonly string[]>();

function namesOf(family: StandInFamily): readonly string[] {
  const names = known.get(family) ?? standInTensors(family).map(({ name }) => name);
  known.set(family, names);
  return names;
}
