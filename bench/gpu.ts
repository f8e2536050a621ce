/** @file Dawn for the bench, and a device on it. */
import { availableParallelism } from "node:os";
import { keepAwake } from "../cli/gpu/keep-awake.ts";
import { Device, type Precision, type Tier } from "../engine/index.ts";

export interface BenchDeviceOptions {
  readonly tier?: Tier | undefined;
  readonly precision?: Precision | undefined;
}

let gpu: GPU | undefined;

/** GPU timestamps in whole nanoseconds, and the experimental features that the matrix tier needs. */
export async function benchDevice(options: BenchDeviceOptions = {}): Promise<Device> {
  const { create, globals } = await import("webgpu"); // not before: stdout is guarded, and a wrong option told of, without it
  Object.assign(globalThis, globals);
  gpu ??= create([
    "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
    "disable-dawn-features=timestamp_quantization",
  ]);
  const device = await Device.create(gpu, { ...options, hostThreads: availableParallelism() });
  if (device.isSoftware) keepAwake();
  return device;
}
