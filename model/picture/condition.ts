/** @file prompts -> context: what the U-Net is told beside the latent and the timestep. */
import { chunkPrompt } from "../../tokenizer/prompt/index.ts";
import type { LoadedModel } from "../loaded-model.ts";
import { arranged, type Stages } from "../stages.ts";
import { Conditioning, type Told } from "../text/conditioning.ts";
import type { EncodedChunks } from "../text/encoded-chunks.ts";
import { promptRulesOf } from "../text/prompt-rules.ts";
import type { GenerateOptions, Settings } from "./generation.ts";
import type { Job } from "./job.ts";
import { vectorsOf } from "./size-vector.ts";
import { needsEncoder, startFrom } from "./start.ts";

/** Everything but the latent and the timestep that the U-Net looks at, left in its inputs. */
export async function condition(loaded: LoadedModel, job: Job): Promise<void> {
  const { settings, options, prepared, prompts, plan } = job;
  const stages = loaded.stagesFor(job);
  const { denoiser } = stages;
  stages.resetFiniteCheck();
  job.conditioning ??= await encode(loaded, job, stages);
  const { conditioning } = job;
  // The GPU rests: it has answered, and is told nothing yet.
  denoiser.step.expectRuns(plan.yields * (plan.choice.sampler.secondOrder ? 2 : 1));
  tellPrompts(loaded, stages, conditioning, options.sizes, settings);
  denoiser.weights = conditioning.weights;
  denoiser.guidance = settings.guidance * plan.guidanceFactor;
  denoiser.guidanceRescale = settings.guidanceRescale;
  denoiser.wholeTimesteps = plan.wholeTimesteps;
  denoiser.schedule = job.schedule;
  denoiser.previews = options.previews === true;
  await denoiser.embedGuidance(settings.guidance);
  job.warnings.push(
    ...[prompts.prompt.cut].filter((n) => n > 0).map((n) => `the prompt is ${n} tokens too long: its first 75 are used`),
  );
  if (!needsEncoder(loaded.config, options.init)) return;
  options.signal?.throwIfAborted();
  const encodeStage = stages.encode(await loaded.loadedEncoder(job));
  const start = await startFrom({ init: options.init, prepared, size: settings }, loaded.config, encodeStage, denoiser);
  job.start = start ?? job.start;
  await stages.expectFinite("vae"); //                                                          [1, H/8, W/8, 4]
}

/** prompts -> chunks -> encodings. */
async function encode(loaded: LoadedModel, { prompts, settings, options, size }: Job, stages: Stages): Promise<Conditioning> {
  const { embeddings, compat } = options;
  const encodeChunks = async (chunks: Parameters<EncodedChunks["encode"]>[1]) => {
    const encoded = await loaded.encoded.encode(stages.text, chunks, settings.clipSkip, embeddings); // [n] of [77, C]
    await stages.expectFinite("text").catch((error) => {
      loaded.encoded.clear(); // they must not be taken for good another time
      throw error;
    });
    return encoded;
  };
  return Conditioning.encode(prompts, encodeChunks, {
    guided: size.guidedParts > 0,
    zeroEmptyNegative: loaded.config.family.startsWith("sdxl") && promptRulesOf(compat).zeroEmptyNegative,
    emptyChunk: chunkPrompt(loaded.tokenizer, "")[0]!,
  });
}

/** encodings -> the U-Net's context, now and whenever prompt editing asks for another one. */
function tellPrompts(
  loaded: LoadedModel,
  { denoiser }: Stages,
  conditioning: Conditioning,
  sizes: GenerateOptions["sizes"],
  settings: Settings,
): void {
  const tell = ({ negative, parts }: Told) => {
    const told = arranged(loaded.config, negative, parts); //                                      [copies] of [S, D]
    const vectors = denoiser.vector && vectorsOf(told, sizes, settings, loaded.config); // [copies, adm]
    denoiser.tell(
      told.map(({ context }) => context),
      vectors,
    );
  };
  let last = conditioning.at(0);
  tell(last);
  denoiser.beforeCall = conditioning.changes
    ? (call) => {
        const next = conditioning.at(call);
        if (next.key !== last.key) tell(next);
        last = next;
      }
    : undefined;
}
