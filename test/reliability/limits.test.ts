/** @file Rows 71 and 72 of the fault catalogue: lesser adapters make the same picture. */
import { beforeAll, describe, expect, test } from "vitest";
import type { Device, DeviceOptions } from "../../engine/index.ts";
import { attention } from "../../kernels/index.ts";
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
    claimLimits(device, options.limits ?? {});
    return { ...(await picture(model, wanted)), dispatches: device.counters.dispatches };
  } finally {
    device.close();
  }
}

/** WebGPU grants no limit below its defaults, such as bindings of 128 MiB: smaller ones are only claimed. */
function claimLimits(device: Device, claimed: Readonly<Record<string, number>>): void {
  const limits = new Proxy(device.gpu.limits, {
    get: (real, name) => claimed[String(name)] ?? Reflect.get(real, name, real),
  });
  Object.defineProperty(device, "limits", { value: limits });
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

  test("attention runs image by image where all of them are too much", async () => {
    const device = await createDevice({ precision: "f32" });
    const rows = Float32Array.from({ length: 2 * 64 * 192 }, (_, i) => Math.sin(i));
    const attend = () =>
      device.scope(() => {
        const qkv = device.upload(rows, [2, 64, 192]);
        return attention(qkv, qkv, qkv, { heads: 2, headDim: 32, columns: { q: 0, k: 64, v: 128 } });
      });
    const whole = attend();
    claimLimits(device, { maxStorageBufferBindingSize: 64 * 192 * 4 });
    const apart = attend();
    expect(await apart.read()).toEqual(await whole.read());
    for (const tensor of [whole, apart]) tensor.free();
    expect(device.memory.liveBytes).toBe(0);
    device.close();
  });

  // Weights are bound whole, and the largest has 1.6 MB: as little as that makes the maps of a picture this size split.
  test.each(["software", "f32"] as const)("1.6 MB, tier %s: every operation on maps runs in bands", async (tier) => {
    const wide = { width: 128, height: 128, steps: 1 } as const;
    const whole = await made({ tier }, wide);
    const banded = await made({ tier, limits: { maxStorageBufferBindingSize: 1_638_400 } }, wide);
    expect(banded.dispatches).toBeGreaterThan(whole.dispatches + 10);
    expect(latentError(banded, whole)).toBeLessThan(1e-5);
    expect(worstPixel(banded, whole)).toBeLessThanOrEqual(1);
  });

  test("a weight that no binding can hold is named, before anything is read of it", async () => {
    const device = await createDevice({ precision: "f32" });
    claimLimits(device, { maxStorageBufferBindingSize: MiB });
    let bytesRead = 0;
    const onProgress = ({ bytes }: { readonly bytes: number }) => {
      bytesRead = bytes;
    };
    const error = await rejection(loadSmall(device, { onProgress }));
    expect(error.code).toBe("BINDING_TOO_LARGE");
    expect(error.message).toMatch(/model\.diffusion_model\.\S+ f32\[.*\] takes \d+ bytes, a binding may have 1048576/);
    expect(error.hint).toContain("--precision f16");
    expect(bytesRead).toBe(0);
    expect(device.memory.liveBytes).toBe(0);
    device.close();
  });

  test("limn plan says so too", async () => {
    const adapter = gpuLike({ maxStorageBufferBindingSize: 32 * MiB });
    const { fits, problem } = await planModel(standIn("sd15"), adapter, { tier: "f32", precision: "f32" });
    expect(fits).toBe(false);
    expect(problem?.message).toMatch(/model\.diffusion_model\.\S+ .* a binding may have 33554432/);
    // What GPUs offer at least is enough for every weight.
    const least = await planModel(standIn("sdxl"), gpuLike(), {
      tier: "f32",
      precision: "f32",
      size: { width: 512, height: 512 },
    });
    expect(least.problem).toBeUndefined();
  });
});
