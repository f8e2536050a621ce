/** @file The autoencoder on recorded inputs, with the outputs of its modules. */
import { download, upload } from "./layout.ts";
import { runWithTaps } from "./taps.ts";
import type { Computed, RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";

/** `vae.image` -> `vae.mean`, `vae.logvar`; `vae.z`, in the U-Net's scale -> `vae.decoded`; both with `vae.tap.*`. */
export async function* vaeCases(recorded: RecordedTensors, model: TraceModel): AsyncGenerator<Computed> {
  yield* encoderCases(recorded, model);
  yield* decoderCases(recorded, model);
}

async function* encoderCases(recorded: RecordedTensors, { device, config, encoder }: TraceModel): AsyncGenerator<Computed> {
  const shape = recorded.shapes.get("vae.image");
  if (encoder === undefined || shape === undefined) return;
  const image = await recorded.read("vae.image");
  const { prefix, zChannels, factor } = config.vae;
  const { output, taps } = await runWithTaps(device, recorded, { group: "vae", prefix }, () =>
    encoder.forward(upload(device, image, shape)),
  );
  try {
    yield* taps;
    const [n = 1, , height = 1, width = 1] = shape;
    const moments = await download(output, [n, 2 * zChannels, height / factor, width / factor]);
    const half = moments.length / n / 2;
    // Per image first the means of all channels, then the logarithms of the variances.
    const part = (which: 0 | 1) =>
      Float32Array.from({ length: n * half }, (_, i) => moments[(2 * Math.floor(i / half) + which) * half + (i % half)]!);
    if (recorded.shapes.has("vae.mean")) yield { name: "vae.mean", values: part(0) };
    if (recorded.shapes.has("vae.logvar"))
      yield { name: "vae.logvar", values: part(1).map((value) => Math.min(Math.max(value, -30), 20)) };
  } finally {
    output.free();
  }
}

async function* decoderCases(recorded: RecordedTensors, { device, config, decoder }: TraceModel): AsyncGenerator<Computed> {
  const shape = recorded.shapes.get("vae.z");
  if (decoder === undefined || shape === undefined) return;
  const z = (await recorded.read("vae.z")).map((value) => value / config.vae.scaleFactor);
  const { output, taps } = await runWithTaps(device, recorded, { group: "vae", prefix: config.vae.prefix }, () =>
    decoder.forward(upload(device, z, shape)),
  );
  try {
    yield* taps;
    const recordedShape = recorded.shapes.get("vae.decoded");
    if (recordedShape !== undefined) yield { name: "vae.decoded", values: await download(output, recordedShape) };
  } finally {
    output.free();
  }
}
