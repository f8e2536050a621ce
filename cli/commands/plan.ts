/** @file `limn plan`: what a picture will take on this adapter, from the checkpoint's header and the adapter's limits alone. */
import { totalmem } from "node:os";
import type { Precision, Tier } from "../../engine/index.ts";
import { byteSizes } from "../../model/checkpoint/printable.ts";
import { type MemoryPlan, phaseWords, planModel } from "../../model/plan/plan.ts";
import { openDevice } from "../gpu/device.ts";
import { embeddedModel } from "../models/embedded-model.ts";
import { openModelSource } from "../models/model-source.ts";
import type { PlanOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws FileSystemError those of `openModelSource`; ModelFileError those of `openModel`; AdapterError those of `openDevice`; UsageError */
export async function run(options: PlanOptions): Promise<void> {
  const source = await openModelSource(options.model ?? embeddedModel);
  const vae = options.vae === undefined ? undefined : await openModelSource(options.vae);
  const refiner = options.refiner === undefined ? undefined : await openModelSource(options.refiner);
  try {
    const { device, adapter, software, close } = await openDevice(options);
    const like: { tier: Tier; precision: Precision } = { tier: device.tier, precision: device.storage };
    const { width, height, guidance, vaeTile, lowMemory, fromPicture, maxHeader, batch } = options;
    // A software adapter's memory is the machine's; WebGPU does not tell that of a card.
    const memory = options.memory ?? (software ? totalmem() : undefined);
    const size = { width, height, guidance, vaeTile };
    const plan = await planModel(source, device, { ...like, vae, refiner, maxHeader, memory, lowMemory, fromPicture, size });
    close();
    await writeStdout(options.json ? json(plan, adapter, memory, batch) : text(plan, adapter, memory, batch));
  } finally {
    await source.close();
    await vae?.close();
    await refiner?.close();
  }
}

function json(plan: MemoryPlan, adapter: string, memory: number | undefined, batch: number): string {
  const { config, ...rest } = plan;
  const { family, variant, prediction } = config;
  return `${JSON.stringify({ adapter, family, variant, prediction, batch, memory: memory ?? null, ...rest, vaeTile: plan.vaeTile ?? null, problem: plan.problem ?? null })}\n`;
}

function text(plan: MemoryPlan, adapter: string, memory: number | undefined, batch: number): string {
  const { config, width, height, tier, precision, phases, weightBytes, activationBytes, totalBytes, problem } = plan;
  const pictures = batch > 1 ? `, ${batch} pictures one after the other` : "";
  const lines = [
    `model       ${config.family}, ${config.prediction} prediction`,
    `picture     ${width}x${height}${pictures}`,
    `adapter     ${adapter}; tier ${tier}, ${precision}; bindings up to ${size(plan.maxBindingBytes)}, buffers up to ${size(plan.maxBufferBytes)}`,
  ];
  if (phases.length > 0) lines.push("phase             weights   activations   largest tensor   dispatches");
  for (const phase of phases) {
    const columns = [size(phase.weightBytes).padStart(11), size(phase.peakActivationBytes).padStart(13)];
    const more = [size(phase.largestTensorBytes).padStart(16), String(phase.dispatches).padStart(12)];
    lines.push(`  ${phaseWords[phase.phase].padEnd(12)}${[...columns, ...more].join(" ")}`);
  }
  if (plan.vaeTile !== undefined) lines.push(`the VAE works in tiles of ${plan.vaeTile}x${plan.vaeTile} pixels`);
  const splits = phases.flatMap(({ phase, splits }) => splits.map((split) => ({ phase, ...split })));
  if (splits.length > 0) lines.push("larger than a binding, so maps go in bands of rows, weights in parts");
  for (const { phase, kind, label, bytes, bands, count } of splits) {
    const pieces = kind === "map" ? "bands" : "parts";
    lines.push(`  ${phaseWords[phase].padEnd(12)} ${String(count).padStart(2)} x ${label}: ${size(bytes)} in ${bands} ${pieces}`);
  }
  lines.push(
    `in all      ${size(totalBytes)}: weights ${size(weightBytes)}, activations ${size(activationBytes)}, the rest inputs and latents`,
  );
  if (problem) lines.push(`it does not fit: ${problem.message}`, ...(problem.hint === undefined ? [] : [`  ${problem.hint}`]));
  else if (memory === undefined) lines.push("it fits the adapter's limits; give its memory with --memory to know the rest");
  else lines.push(`it fits: ${size(memory)} are there`);
  return `${lines.join("\n")}\n`;
}

function size(bytes: number): string {
  return byteSizes(bytes)[0]!;
}
