/** @file The U-Net on recorded inputs, with the outputs of its modules. */
import type { Tensor } from "../../engine/index.ts";
import { timestepEmbedding } from "../unet/timestep-embedding.ts";
import { download, upload } from "./layout.ts";
import { runWithTaps } from "./taps.ts";
import { type Computed, contextNames, type RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";

/** `unet.x`, `.t`, `.context` -> `unet.tap.*`, `unet.out`; `unet.x.long`, `unet.context.long` at t = 500 -> `unet.out.long`. */
export async function* unetCases(recorded: RecordedTensors, model: TraceModel): AsyncGenerator<Computed> {
  const { device, unet } = model;
  if (unet === undefined) return;
  const prefix = model.config.unet.prefix;
  const forward = await prepare(recorded, model, "");
  if (forward !== undefined && [...recorded.shapes.keys()].some((name) => name.startsWith("unet.tap."))) {
    const { output, taps } = await runWithTaps(device, recorded, { group: "unet", prefix }, forward);
    output.free();
    yield* taps;
  }
  // Once more without taps: some kernels add the residual themselves then, as they do in a picture.
  // A ControlNet's cases record the output without its help as `unet.out.none`.
  for (const name of ["unet.out", "unet.out.none"]) if (forward) yield* outputOf(recorded, model, name, forward);
  const long = await prepare(recorded, model, ".long");
  if (long !== undefined) yield* outputOf(recorded, model, "unet.out.long", long);
}

async function* outputOf(
  { shapes }: RecordedTensors,
  { device }: TraceModel,
  name: string,
  forward: () => Tensor,
): AsyncGenerator<Computed> {
  const shape = shapes.get(name);
  if (shape === undefined) return;
  const output = device.scope(forward);
  try {
    yield { name, values: await download(output, shape) };
  } finally {
    output.free();
  }
}

/** Reads the inputs; what comes back runs the U-Net on them, within a scope of the caller's. */
async function prepare(
  recorded: RecordedTensors,
  { device, config, unet }: TraceModel,
  suffix: "" | ".long",
): Promise<(() => Tensor) | undefined> {
  const { shapes } = recorded;
  const shape = shapes.get(`unet.x${suffix}`);
  // Some families' cases record the context of all prompts; the first of them are the U-Net's.
  const shared = suffix === "" ? contextNames : [];
  const contextName = [`unet.context${suffix}`, ...shared].find((name) => shapes.has(name));
  const needsVector = config.unet.admChannels !== undefined;
  if (shape === undefined || contextName === undefined || (needsVector && !shapes.has("vector"))) return undefined;
  const batch = shape[0]!;
  const firstOf = async (name: string) => {
    const [rows, ...rest] = shapes.get(name)!;
    const values = await recorded.read(name);
    return { values: values.subarray(0, (values.length / rows!) * batch), shape: [batch, ...rest] };
  };
  const x = await recorded.read(`unet.x${suffix}`);
  const timesteps = suffix === "" ? Array.from(await recorded.read("unet.t")) : Array<number>(batch).fill(500);
  const time = timestepEmbedding(timesteps, config.unet.modelChannels);
  const context = await firstOf(contextName);
  const vector = needsVector ? await firstOf("vector") : undefined;
  return () =>
    unet!.forward(
      upload(device, x, shape),
      device.upload(time, [batch, config.unet.modelChannels], device.storage),
      unet!.prepare(upload(device, context.values, context.shape)),
      vector && upload(device, vector.values, vector.shape),
    );
}
