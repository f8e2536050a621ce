/** @file noise -> latent: the sampler, the denoiser that it asks, and what happens where one of its stages fails. */
import type { Tensor } from "../../engine/index.ts";
import type { UNetDenoiser } from "../denoiser/denoiser.ts";
import { InpaintDenoiser } from "../denoiser/inpaint-denoiser.ts";
import { LoggedDenoiser } from "../denoiser/run-log.ts";
import { toNHWC } from "../image/planes.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { StepPreview } from "../preview/index.ts";
import type { Stages } from "../stages.ts";
import { condition } from "./condition.ts";
import type { GenerateStep } from "./generation.ts";
import type { Job } from "./job.ts";
import { PictureNoise } from "./picture-noise.ts";
import { isRefined, RefinedDenoiser } from "./refiner.ts";
import { runSampler } from "./run-sampler.ts";
import { filledLatent, firstLatent } from "./start.ts";

/** noise -> latent. The latent is the caller's. */
export async function* denoise(loaded: LoadedModel, job: Job): AsyncGenerator<GenerateStep, Tensor> {
  const { settings, options, plan } = job;
  for (;;) {
    const stages = loaded.stagesFor(job);
    const [height, width] = loaded.latentSize(settings);
    const noise = new PictureNoise({ ...options, seed: job.firstSeed }, plan, { height, width });
    const upload = (values: Float32Array) => stages.newLatent(values);
    const drawn = noise.next(); //                                                               [1, H/8, W/8, 4]
    const unit = options.noise ? toNHWC(options.noise, height, width) : drawn;
    const { start } = job;
    const latent = start && filledLatent(start, unit);
    const x = upload(firstLatent(plan, unit, latent));
    const refined = refinedBy(job, stages);
    const { log } = options;
    const pass = job.steps.before;
    const onFirst = (calls: number) => stages.denoiser.continueFrom(calls);
    const asked = refined ?? stages.denoiser;
    const logged = log && new LoggedDenoiser(asked, { log, pass, upload, onFirst });
    const denoiser = logged ?? asked;
    let masked: InpaintDenoiser | undefined;
    let finished = false;
    try {
      if (latent && start?.mask) masked = new InpaintDenoiser(denoiser, { latent: upload(latent), mask: upload(start.mask) });
      const sampling = plan.run({
        denoiser: masked ?? denoiser,
        x,
        noise: (from, to) => upload(noise.between(from, to)),
      });
      const checked = { nonFinite: stages.nonFinite, expectFinite: checksOf(job, stages, refined) };
      const made = yield* runSampler(sampling, checked, job, () => previewOf(loaded, stages, refined?.current));
      finished = true;
      return masked ? masked.finish(made) : made;
    } catch (error) {
      x.free(); // before free memory is given back
      masked?.free();
      logged?.free();
      if (refined?.refining) await job.refiner!.loaded.mend(job.refiner!.job, error);
      else await loaded.mend(job, error);
      log?.forget(pass); // it is made in another way now
      await condition(loaded, job);
    } finally {
      masked?.free();
      logged?.free();
      // A sampler that was stopped before its first step never ran, and so has freed nothing.
      if (!finished) x.free();
    }
  }
}

/** The U-Net's denoiser as long as the noise is high, then the refiner's; undefined without one. */
function refinedBy({ refiner, schedule, options }: Job, stages: Stages): RefinedDenoiser | undefined {
  if (!refiner) return undefined;
  const { loaded, at, job } = refiner;
  return new RefinedDenoiser(stages.denoiser, schedule, {
    isRefined: (timestep) => isRefined(timestep, at, options.compat),
    async takeOver(calls) {
      await stages.expectFinite("unet"); // from here on what is found is the refiner's
      await loaded.mending(job, () => condition(loaded, job));
      const { denoiser } = loaded.stagesFor(job);
      denoiser.continueFrom(calls);
      return denoiser;
    },
  });
}

/** The finite check of the model that answers. */
function checksOf({ refiner }: Job, own: Stages, refined: RefinedDenoiser | undefined): Stages["expectFinite"] {
  return (stage, step) => {
    const stages = refiner && refined?.refining ? refiner.loaded.stagesFor(refiner.job) : own;
    return stages.expectFinite(stage, step);
  };
}

function previewOf(
  { config }: LoadedModel,
  stages: Stages,
  { denoised }: UNetDenoiser = stages.denoiser,
): StepPreview | undefined {
  return denoised && new StepPreview(stages, config.vae, denoised);
}
