/** @file The sampler's run: step by step, each checked, the host never far ahead of the GPU. */
import type { Tensor } from "../../engine/index.ts";
import type { Sampling } from "../sampling/index.ts";
import type { Stages } from "../stages.ts";
import type { GenerateStep } from "./generation.ts";
import type { Job } from "./job.ts";

/** Steps that the host may be ahead of the GPU: progress stays true and stopping is quick. */
const stepsAhead = 2;
/** Steps in which a sampler's own launches may still build bind groups. */
const stepsOfSetup = 2;

/** Runs a sampler to its end and returns its latent [1, H/8, W/8, 4]. Yields after every step; `preview` makes what comes with it. */
export async function* runSampler(
  sampling: Sampling,
  stages: Pick<Stages, "nonFinite" | "expectFinite">,
  { steps: { before, total }, options: { signal } }: Pick<Job, "steps" | "options">,
  preview: () => GenerateStep["preview"],
): AsyncGenerator<GenerateStep, Tensor> {
  const { bindGroups, counters } = stages.nonFinite.device;
  const checks: Promise<void>[] = [];
  let latent: Tensor | undefined;
  try {
    for (;;) {
      signal?.throwIfAborted();
      const { built } = bindGroups;
      const next = await sampling.next();
      if (!next.done && next.value.step >= stepsOfSetup) counters.bindGroupsBuiltInReplay += bindGroups.built - built;
      if (next.done) {
        latent = next.value;
        await Promise.all(checks);
        return latent;
      }
      const step = before + next.value.step + 1;
      const check = stages.expectFinite("unet", step);
      check.catch(() => {}); // reported when it is awaited, up to two steps later
      checks.push(check);
      if (checks.length > stepsAhead) await checks.shift();
      yield { step, steps: total, sigma: next.value.sigma, latent: next.value.latent, preview: preview() };
    }
  } catch (error) {
    latent?.free();
    throw error;
  } finally {
    if (!latent) await sampling.return(undefined as never);
  }
}
