/**
 * @file Maps larger than a binding: the autoencoder in row bands gives what it gives at once. This one is narrow and shrinks pictures by
 * 16, so that maps of 66 and 130 MiB are little work (`test/reliability/limits.test.ts` has the embedded model's in smaller bands).
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device, Tensor } from "../../engine/index.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import type { VaeConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { StandInSource } from "../../model/checkpoint/stand-in-source.ts";
import { TensorList } from "../../model/checkpoint/stand-in-tensors.ts";
import { listVae } from "../../model/checkpoint/stand-in-vae.ts";
import { VaeDecoder } from "../../model/vae/decoder.ts";
import { VaeEncoder } from "../../model/vae/encoder.ts";
import { createDevice, normals, withBindingsOf } from "../kernels/harness.ts";

const MiB = 2 ** 20;
/** Channels of the largest map. */
const width = 32;

/** Each half has the widths that make its largest map with the least work: the decoder's is what its last doubling makes. */
const widths = { decoder: [8, width, 16, 16, 16], encoder: Array<number>(5).fill(width) } as const;

function configOf(half: keyof typeof widths): VaeConfig {
  const [ch = 0] = widths[half];
  const chMult = widths[half].map((width) => width / ch);
  const sizes = { ch, chMult, numResBlocks: 0, zChannels: 4, factor: 2 ** (chMult.length - 1), normGroups: 4 };
  return { prefix: half, scaleFactor: 0.18215, hasEncoder: true, ...sizes };
}

let device: Device;
let decoder: VaeDecoder;
let encoder: VaeEncoder;

beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  const list = new TensorList("vae");
  for (const half of ["decoder", "encoder"] as const) listVae(list.at(half), { widths: widths[half], blocks: 0 });
  const file = await openSafetensors(new StandInSource("narrow autoencoder", list.tensors, 1));
  const checkpoint = new Checkpoint(file, device);
  [decoder, encoder] = await checkpoint.build((weights) => [
    new VaeDecoder(weights.at("vae.decoder"), configOf("decoder")),
    new VaeEncoder(weights.at("vae.encoder"), configOf("encoder")),
  ]);
});

afterAll(() => device.close());

interface Run {
  readonly values: Float32Array;
  readonly launches: number;
}

async function run(forward: (x: Tensor) => Tensor, input: Float32Array, shape: readonly number[]): Promise<Run> {
  const before = device.counters.dispatches;
  const result = device.scope(() => forward(device.upload(input, shape, "f32")));
  const values = await result.read();
  result.free();
  return { values, launches: device.counters.dispatches - before };
}

/** Largest difference over the largest value. */
function relativeError(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return actual.reduce((most, value, i) => Math.max(most, Math.abs(value - expected[i]!)), 0) / largest;
}

/** Bytes of a map of the picture's own size. */
const mapBytes = (picture: Size) => 4 * width * picture.width * picture.height;

interface Size {
  readonly width: number;
  readonly height: number;
}

function decode({ width, height }: Size): Promise<Run> {
  const shape = [1, height / 16, width / 16, 4];
  return run(
    (z) => decoder.forward(z),
    latent.subarray(
      0,
      shape.reduce((a, b) => a * b),
    ),
    shape,
  );
}

function encode({ width, height }: Size): Promise<Run> {
  const image = Float32Array.from({ length: 4 * width * height }, (_, i) => (i % 4 === 3 ? 0 : Math.sin(i * 0.003)));
  return run((x) => encoder.forward(x), image, [1, height, width, 4]);
}

const latent = normals(4 * 44 * 48);

describe("a picture whose maps have 66 MiB, which this adapter can bind", () => {
  const picture = { width: 704, height: 768 };
  const limits = [64, 32];

  test("decoded in bands under 64 and 32 MiB, it is what it is at once", async () => {
    expect(mapBytes(picture)).toBeGreaterThan(64 * MiB);
    const whole = await decode(picture);
    let launches = whole.launches;
    for (const limit of limits) {
      const banded = await withBindingsOf(device, limit * MiB, () => decode(picture));
      // Bands there are: the smaller the binding, the more.
      expect(banded.launches).toBeGreaterThan(launches + 4);
      expect(relativeError(banded.values, whole.values), `${limit} MiB`).toBeLessThanOrEqual(1e-5);
      launches = banded.launches;
    }
  });

  test("encoded, too", async () => {
    const whole = await encode(picture);
    let launches = whole.launches;
    for (const limit of limits) {
      const banded = await withBindingsOf(device, limit * MiB, () => encode(picture));
      expect(banded.launches).toBeGreaterThan(launches);
      expect(relativeError(banded.values, whole.values), `${limit} MiB`).toBeLessThanOrEqual(1e-5);
      launches = banded.launches;
    }
  });
});

test("a picture whose maps have 130 MiB: bands of at most 128 MiB give what bands of at most 32 give", async () => {
  const picture = { width: 1024, height: 1040 };
  expect(mapBytes(picture)).toBeGreaterThan(128 * MiB);
  const large = await withBindingsOf(device, 128 * MiB, () => encode(picture));
  const small = await withBindingsOf(device, 32 * MiB, () => encode(picture));
  expect(small.launches).toBeGreaterThan(large.launches);
  expect(relativeError(large.values, small.values)).toBeLessThanOrEqual(1e-5);
});
