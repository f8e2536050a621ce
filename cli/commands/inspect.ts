/** @file `limn inspect`: what a checkpoint holds, without loading its weights. */
import { ModelFileError } from "../../engine/errors.ts";
import { type ModelConfig, readConfig } from "../../model/checkpoint/config.ts";
import { openModelFile } from "../../model/checkpoint/open.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import type { SafetensorsFile } from "../../model/checkpoint/safetensors.ts";
import { openModelSource } from "../models/model-source.ts";
import type { InspectOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws FileSystemError those of `openModelSource`; ModelFileError those of `openModelFile`, and of `readConfig` but MODEL_UNSUPPORTED and CHECKPOINT_MISSING */
export async function run({ file: path, maxHeader, json, verbose }: InspectOptions): Promise<void> {
  const source = await openModelSource(path);
  try {
    const file = await openModelFile(source, maxHeader === undefined ? {} : { maxHeader });
    const { config, reason } = await configOf(file);
    const report = reportOf(file, config, reason);
    await writeStdout(json ? `${JSON.stringify(report)}\n` : describeReport(report, verbose));
  } finally {
    await source.close();
  }
}

/** Any safetensors file can be looked at: one that is no checkpoint, or no whole one, has no configuration, and a reason. */
async function configOf(file: SafetensorsFile): Promise<{ config?: ModelConfig; reason?: string }> {
  try {
    return { config: await readConfig(file) };
  } catch (error) {
    const { code, message } = error instanceof ModelFileError ? error : { code: undefined, message: "" };
    if (code === "MODEL_UNSUPPORTED" || code === "CHECKPOINT_MISSING") return { reason: message };
    throw error;
  }
}

interface Tally {
  tensors: number;
  parameters: number;
  bytes: number;
}

type Report = ReturnType<typeof reportOf>;

function reportOf(file: SafetensorsFile, config: ModelConfig | undefined, reason: string | undefined) {
  const dtypes: Record<string, Tally> = {};
  const parts: Record<string, Tally> = {};
  const total: Tally = { tensors: 0, parameters: 0, bytes: 0 };
  for (const { name, dtype, shape, begin, end } of file.tensors.values()) {
    const parameters = shape.reduce((product, size) => product * size, 1);
    for (const tally of [total, own(dtypes, dtype), own(parts, partOf(name))]) {
      tally.tensors++;
      tally.parameters += parameters;
      tally.bytes += end - begin;
    }
  }
  return {
    file: file.source.name,
    bytes: file.source.size,
    headerBytes: file.headerBytes,
    family: config?.family ?? null,
    ...(reason === undefined ? {} : { reason }),
    parameters: total.parameters,
    tensorCount: total.tensors,
    dtypes,
    parts,
    config: config ?? null,
    metadata: Object.fromEntries(file.metadata),
    tensors: [...file.tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype, shape })),
  };
}

function own(tallies: Record<string, Tally>, key: string): Tally {
  if (!Object.hasOwn(tallies, key))
    Object.defineProperty(tallies, key, { value: { tensors: 0, parameters: 0, bytes: 0 }, enumerable: true });
  return tallies[key]!;
}

/** "model.diffusion_model.out.0.weight" -> "model.diffusion_model"; "lora_unet_mid_block_....alpha" -> "lora_unet" */
function partOf(name: string): string {
  const [kohya] = /^(lora_(unet|te\d?)|lycoris)(?=_)/.exec(name) ?? [];
  if (kohya !== undefined) return kohya;
  const [first = "", second] = name.split(".");
  return first === "model" && second !== undefined ? `${first}.${second}` : first;
}

function describeReport(report: Report, verbose: boolean): string {
  const lines = [
    `file        ${printable(report.file, 4096)} (${sized(report.bytes)}, header ${report.headerBytes} bytes)`,
    report.config === null ? `family      unknown: ${printable(report.reason ?? "", 400)}` : describeConfig(report.config),
    `parameters  ${report.parameters.toLocaleString("en")} in ${report.tensorCount} tensors`,
    ...Object.entries(report.dtypes).map(([dtype, tally]) => `  ${dtype.padEnd(26)}${describeTally(tally)}`),
    "parts",
    ...Object.entries(report.parts)
      .slice(0, 20)
      .map(([part, tally]) => `  ${printable(part, 40).padEnd(26)}${describeTally(tally)}`),
    ...Object.entries(report.metadata).flatMap(([key, value], index) => [
      ...(index === 0 ? ["metadata"] : []),
      `  ${printable(key, 60)}: ${printable(value, 160)}`,
    ]),
  ];
  const tensors = report.tensors.map(
    ({ name, dtype, shape }) => `  ${dtype.padEnd(5)} [${shape.join(", ")}]  ${printable(name)}`,
  );
  if (verbose) lines.push("tensors", ...tensors);
  else lines.push(`(--verbose lists the ${report.tensorCount} tensors, --json gives all)`);
  return `${lines.join("\n")}\n`;
}

function describeConfig({ family, variant, prediction, predictionFrom, unet, vae, text, defaults }: ModelConfig): string {
  const channels = unet.channelMult.map((factor) => factor * unet.modelChannels);
  const heads = "count" in unet.heads ? `${unet.heads.count} heads` : `heads of ${unet.heads.width}`;
  return [
    `family      ${family}${variant === "base" ? "" : `, ${variant}`}`,
    `prediction  ${prediction} (${{ metadata: "the file says so", weights: "measured", family: "usual for the family" }[predictionFrom]})`,
    `U-Net       channels ${channels.join(", ")}; ${unet.numResBlocks} blocks a level; ${heads}; context ${unet.contextDim}`,
    `VAE         channels ${vae.chMult.map((factor) => factor * vae.ch).join(", ")}; latent ${vae.zChannels}; scale ${vae.scaleFactor}${vae.hasEncoder ? "" : "; no encoder"}`,
    ...text.map(
      (encoder) => `text        ${encoder.kind}: width ${encoder.width}, ${encoder.layers} layers, ${encoder.heads} heads`,
    ),
    `defaults    ${defaults.width}x${defaults.height}, ${defaults.steps} steps, guidance ${defaults.guidance}, ${defaults.sampler}, ${defaults.schedule}`,
  ].join("\n");
}

function describeTally({ tensors, parameters, bytes }: Tally): string {
  return `${String(tensors).padStart(5)} tensors ${parameters.toLocaleString("en").padStart(15)} parameters ${sized(bytes).padStart(11)}`;
}

function sized(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
