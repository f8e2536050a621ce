/** @file Numbers that a sampler has no use for: worth a warning, as a picture is made all the same. */
import type { PlanOptions } from "./plan-options.ts";
import type { SamplerEntry } from "./sampler-table.ts";

type Numbers = Pick<PlanOptions, "eta" | "churn" | "churnMin" | "churnMax" | "noiseScale">;

/** One sentence for each of those that are given but change nothing. */
export function ignoredOptions({ name, space, noise, eta: usual }: SamplerEntry, options: Numbers): string[] {
  const { eta = usual, churn = 0, churnMin, churnMax, noiseScale = 1 } = options;
  const ignored: string[] = [];
  const pass = (why: string, what: string, value: number | undefined) => {
    if (value !== undefined) ignored.push(`sampler ${name} ${why}: ${what} ${value} is ignored`);
  };
  if (noise !== "eta") pass("takes no eta", "eta", options.eta);
  const churns = noise === "churn" && churn > 0;
  if (churn > 0 && !churns) pass("takes no churn", "churn", churn);
  if (!churns) {
    const why = noise === "churn" ? "has no churn here" : "takes no churn";
    pass(why, "churn-min", churnMin);
    pass(why, "churn-max", churnMax);
  }
  // In VP space nothing scales it.
  const scales = space === "sigma" && (noise === "always" || churns || (noise === "eta" && eta > 0));
  if (noiseScale !== 1 && !scales) pass("scales no noise", "noise-scale", noiseScale);
  return ignored;
}
