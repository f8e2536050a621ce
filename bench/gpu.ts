/** @file Dawn for the bench, and a device on it. */
import { create, globals } from "webgpu";
import { Device, type Precision, type Tier } from "../engine/index.ts";

export interface BenchDeviceOptions {
  readonly tier?: Tier | undefined;
  readonly precision?: Precision | undefined;
}

let gpu: GPU | undefined;

/** GPU timestamps in whole nanoseconds, and the experimental features that the matrix tier needs. */
export async function benchDevice(options: BenchDeviceOptions = {}): Promise<Device> {
  Object.assign(globalThis, globals);
  gpu ??= create([
    "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
    "disable-dawn-features=timestamp_quantization",
  ]);
  return Device.create(gpu, options);
}

/** The adapter in words. A GPU's description is its driver (`NVIDIA: 580.65.06`), and its name in `device`: `nvidia-h100-80gb-hbm3`. */
export function adapterName({ info, isSoftware }: Pick<Device, "info" | "isSoftware">): string {
  const { vendor, device, description } = info;
  if (isSoftware && description) return description;
  return `${device || vendor}${description ? ` (${description})` : ""}`;
}
