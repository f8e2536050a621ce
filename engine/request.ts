/** @file Asking an adapter for a device with what limn can use of it: features, limits, tier and storage. */
import { AdapterError } from "./errors.ts";
import {
  aPositiveNumber,
  aString,
  expectKinds,
  isObject,
  type Kind,
  listOf,
  oneOf,
  record,
  withMethods,
} from "./option-types.ts";
import { detectTier, expectTier, matrixFeature, type Precision, storageFor, type Tier, tiers } from "./tier.ts";

export interface DeviceOptions {
  /** Use this adapter; else the GPU object's high-performance one. */
  readonly adapter?: GPUAdapter;
  /** Force a tier; it must be one that the adapter can run. */
  readonly tier?: Tier | undefined;
  readonly precision?: Precision | undefined;
  /** Features to do without, to test the paths of lesser adapters. */
  readonly withhold?: readonly string[];
  /** Lower limits than the adapter's, to test the same; also below those that WebGPU grants every device, which are only held to then. */
  readonly limits?: Readonly<Record<string, number>> | undefined;
  /** Seconds without a sign of life after which the GPU counts as hung; default 30, on software adapters 600 or more. */
  readonly patience?: number | undefined;
  /** Threads on which a software adapter runs shaders; default what the platform says, or 32: too many cost little, too few leave cores idle. */
  readonly hostThreads?: number | undefined;
  /** Milliseconds that one submission may take; default 250, on software adapters, which no system watches, any number. */
  readonly submitMillis?: number | undefined;
}

const kinds: Record<keyof DeviceOptions, Kind> = {
  adapter: withMethods("a GPUAdapter", "requestDevice"),
  tier: oneOf(...tiers),
  precision: oneOf("auto", "f32", "f16"),
  withhold: listOf(aString),
  limits: record({}),
  patience: aPositiveNumber,
  hostThreads: aPositiveNumber,
  submitMillis: aPositiveNumber,
};

/** Features that limn uses where they are there, each with its reason. */
const wantedFeatures = [
  "shader-f16", // storage at half the bandwidth
  "subgroups", // broadcasts without shared memory
  "timestamp-query", // the profiler
  matrixFeature, // tensor cores
] as const;

/** Limits that limn wants as high as the adapter goes, each with its reason. */
const wantedLimits = [
  "maxBufferSize", // weights and VAE maps
  "maxStorageBufferBindingSize", // fewer row bands
  "maxComputeWorkgroupStorageSize", // larger tiles
  "maxComputeInvocationsPerWorkgroup", // larger workgroups
  "maxComputeWorkgroupSizeX",
  "maxStorageBuffersPerShaderStage", // kernels with optional operands
] as const;

/** A device as the driver gives it, and what was decided about it. */
export interface RequestedDevice {
  readonly gpu: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly tier: Tier;
  readonly storage: "f32" | "f16";
  readonly hostThreads: number;
  /** What is granted, or the lower limits that were asked for. */
  readonly limits: GPUSupportedLimits;
}

/** @throws AdapterError NO_ADAPTER, NO_DEVICE, TIER_UNSUPPORTED, F16_UNSUPPORTED; UsageError INVALID_OPTION */
export async function requestDevice(gpu: GPU, options: DeviceOptions): Promise<RequestedDevice> {
  expectGpu(gpu);
  expectKinds("Device.create", options, kinds);
  const adapter = options.adapter ?? (await gpu.requestAdapter({ powerPreference: "high-performance" }));
  if (!adapter)
    throw new AdapterError("NO_ADAPTER", "no WebGPU adapter was found", {
      hint: "run `limn doctor` for the command that installs a driver here",
    });
  const withheld = new Set(options.withhold ?? []);
  const features = wantedFeatures.filter((feature) => adapter.features.has(feature) && !withheld.has(feature));
  const offered = new Set<string>(features);
  const tier = options.tier ?? detectTier({ features: offered, info: adapter.info });
  expectTier(tier, offered);
  const storage = storageFor(options.precision ?? "auto", tier, offered.has("shader-f16"));
  const requiredLimits: Record<string, number> = {};
  for (const name of wantedLimits)
    requiredLimits[name] = Math.min(adapter.limits[name], options.limits?.[name] ?? Number.POSITIVE_INFINITY);
  const descriptor = { requiredFeatures: features as GPUFeatureName[], requiredLimits };
  const device = await adapter.requestDevice(descriptor).catch((cause: unknown) => {
    throw new AdapterError("NO_DEVICE", `the adapter gave no device: ${cause instanceof Error ? cause.message : String(cause)}`, {
      hint: "another program may have used it up or its driver may be updating: run again, or try `limn doctor`",
      cause,
    });
  });
  const hostThreads = options.hostThreads ?? platformThreads() ?? 32;
  return { gpu: device, info: adapter.info, tier, storage, hostThreads, limits: atMost(device.limits, options.limits) };
}

/** `navigator.gpu` is undefined where a browser or a page has no WebGPU. */
function expectGpu(gpu: unknown): void {
  if (isObject(gpu) && typeof gpu["requestAdapter"] === "function") return;
  throw new AdapterError("NO_ADAPTER", "Device.create: there is no WebGPU here: it was given no GPU object", {
    hint: "in a browser, use one with WebGPU and a page from https or localhost; in Node, pass create([]) of the package webgpu",
  });
}

/** Browsers tell, and Node from 21 on. */
function platformThreads(): number | undefined {
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency;
}

/** WebGPU grants no limit below its defaults, such as bindings of 128 MiB. */
function atMost(granted: GPUSupportedLimits, lower: DeviceOptions["limits"]): GPUSupportedLimits {
  if (!lower) return granted;
  const asked = new Map(Object.entries(lower));
  return new Proxy(granted, {
    get: (real, name) => {
      const value: unknown = Reflect.get(real, name, real);
      return typeof value === "number" ? Math.min(value, asked.get(String(name)) ?? value) : value;
    },
  });
}
