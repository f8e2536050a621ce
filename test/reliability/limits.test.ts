/** @file Rows 71 and 72 of the fault catalogue: lesser adapters make the same picture. */
import { beforeAll, describe, expect, test } from "vitest";
import type { DeviceOptions } from "../../engine/index.ts";
import { standIn } from "../../model/checkpoint/stand-in.ts";
import type { GeneratedImage, GenerateOptions } from "../../model/index.ts";
import { planModel } from "../../model/plan/plan.ts";
import { gpuLike } from "../model/capabilities.ts";
import { createDevice, loadSmall, picture, rejection } from "./picture.ts";

const MiB = 2 ** 20;

interface Made extends GeneratedImage {
  readonly dispatches: number;
}

async function made(options: DeviceOptions, wanted: GenerateOptions = {}): Promise<Made> {
  const device = await createDevice({ precision: "f32", ...options });
  try {
    const model = await loadSmall(device);
    return { ...(await picture(model, wanted)), dispatches: device.counters.dispatches };
  } finally {
    device.close();
  }
}

function worstPixel(a: GeneratedImage, b: GeneratedImage): number {
  return a.pixels.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b.pixels[i]!)), 0);
}

/** Largest difference of the latents, over the largest value. */
function latentError(a: GeneratedImage, b: GeneratedImage): number {
  const largest = Math.max(...b.latent.map(Math.abs));
  return a.latent.reduce((worst, value, i) => Math.max(worst, Math.abs(value - b.latent[i]!)), 0) / largest;
}

let expected: GeneratedImage;
beforeAll(async () => {
  expected = await made({});
});

describe("features and limits withheld (71)", () => {
  const weaker: Readonly<Record<string, DeviceOptions>> = {
    "no subgroups": { withhold: ["subgroups"] },
    "256 invocations": { limits: { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256 } },
    "16 KiB of workgroup memory": { limits: { maxComputeWorkgroupStorageSize: 16384 } },
    "8 storage buffers": { limits: { maxStorageBuffersPerShaderStage: 8 } },
    "all of these": {
      withhold: ["shader-f16", "subgroups", "timestamp-query", "chromium-experimental-subgroup-matrix"],
      limits: {
        maxComputeInvocationsPerWorkgroup: 256,
        maxComputeWorkgroupSizeX: 256,
        maxComputeWorkgroupStorageSize: 16384,
        maxStorageBuffersPerShaderStage: 8,
      },
    },
  };
  test.each([
    ...Object.keys(weaker).map((name) => ["f32", name] as const),
    ["software", "no subgroups"] as const,
    ["software", "all of these"] as const,
  ])("tier %s, %s: the same picture", async (tier, name) => {
    const image = await made({ tier, ...weaker[name] });
    expect(worstPixel(image, expected)).toBeLessThanOrEqual(1);
    expect(latentError(image, expected)).toBeLessThan(1e-4);
  });
});

describe("bindings of limited size (72)", () => {
  test.each([128, 64, 32])("%i MiB: nothing changes", async (size) => {
    const image = await made({ limits: { maxStorageBufferBindingSize: size * MiB } });
    expect(image.pixels).toEqual(expected.pixels);
  });

  const wide = { width: 128, height: 128, steps: 1 } as const;
  const wholes = new Map<"software" | "f32", Promise<Made>>();
  const wholeOn = (tier: "software" | "f32"): Promise<Made> => {
    const one = wholes.get(tier) ?? made({ tier }, wide);
    wholes.set(tier, one);
    return one;
  };

  // The largest map has 2.1 MB, the largest weight 1.6 MB: 256 KiB cut up both, and what attention reads.
  test.each([
    ["software", 1600],
    ["software", 256],
    ["f32", 256],
  ] as const)("tier %s, %i KiB: every operation on maps and weights runs in parts", async (tier, size) => {
    const whole = await wholeOn(tier);
    const parts = await made({ tier, limits: { maxStorageBufferBindingSize: size * 1024 } }, wide);
    expect(parts.dispatches).toBeGreaterThan(whole.dispatches + (size < 1000 ? 100 : 10));
    expect(latentError(parts, whole)).toBeLessThan(1e-5);
    expect(worstPixel(parts, whole)).toBeLessThanOrEqual(1);
  });

  test("256 KiB: a picture is encoded in parts", async () => {
    const { width, height, pixels } = await wholeOn("software");
    const init = { image: { width, height, channels: 4, data: pixels } as const, strength: 0 };
    const whole = await made({}, { width, height, init });
    const parts = await made({ limits: { maxStorageBufferBindingSize: 256 * 1024 } }, { width, height, init });
    expect(parts.dispatches).toBeGreaterThan(whole.dispatches + 100);
    expect(latentError(parts, whole)).toBeLessThan(1e-5);
  });

  test("a weight of which no binding can hold a part is named, before anything is read of it", async () => {
    const device = await createDevice({ precision: "f32", limits: { maxStorageBufferBindingSize: 60_000 } });
    let bytesRead = 0;
    const onProgress = ({ bytes }: { readonly bytes: number }) => {
      bytesRead = bytes;
    };
    const error = await rejection(loadSmall(device, { onProgress }));
    expect(error.code).toBe("BINDING_TOO_LARGE");
    expect(error.message).toMatch(/model\.diffusion_model\.\S+ f(16|32)\[.*\] takes \d+ bytes, a binding may have 60000/);
    expect(error.hint).toContain("--precision f16");
    expect(bytesRead).toBe(0);
    expect(device.memory.liveBytes).toBe(0);
    device.close();
  });

  test.each(["sd15", "sdxl", "sdxl-refiner"] as const)(
    "128, 64 and 32 MiB hold every tensor of %s, or parts of it, as limn plan says",
    async (family) => {
      for (const tier of ["software", "f32"] as const) {
        for (const size of [128, 64, 32]) {
          const adapter = gpuLike({ maxStorageBufferBindingSize: size * MiB }, ["subgroups"]);
          const { problem, phases } = await planModel(standIn(family), adapter, {
            tier,
            precision: "f32",
            size: { width: 512, height: 512 },
          });
          expect(problem).toBeUndefined();
          const weights = phases.flatMap(({ splits }) => splits.filter(({ kind }) => kind === "weight"));
          // 3x3 convolutions of 2560 channels have 118 MB, layers up to 52; the refiner's of 3072 channels 170.
          if (size === 128 && family !== "sdxl-refiner") expect(weights).toEqual([]);
          else expect(Math.max(...weights.map(({ bytes, bands }) => bytes / bands))).toBeLessThanOrEqual(size * MiB);
        }
      }
    },
  );

  test("limn plan says so, too, where nothing helps", async () => {
    const adapter = gpuLike({ maxStorageBufferBindingSize: 4 * MiB });
    const { fits, problem } = await planModel(standIn("sd15"), adapter, { tier: "f32", precision: "f32" });
    expect(fits).toBe(false);
    expect(problem?.message).toMatch(/model\.diffusion_model\.\S+ .* a binding may have 4194304/);
  });
});
