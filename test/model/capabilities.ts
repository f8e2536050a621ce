/** @file An adapter's abilities as plain numbers, for devices that compute nothing. */
import type { Capabilities } from "../../model/dry-gpu.ts";

/** A GPU with f16 and subgroups of 32, and the limits of lavapipe unless said. */
export function gpuLike(
  limits: Readonly<Record<string, number>> = {},
  features: readonly string[] = ["shader-f16"],
): Capabilities {
  const known = {
    maxBufferSize: 2 ** 32 - 4,
    maxStorageBufferBindingSize: 128 * 2 ** 20,
    maxComputeWorkgroupStorageSize: 32 * 2 ** 10,
    maxComputeInvocationsPerWorkgroup: 1024,
    maxComputeWorkgroupSizeX: 1024,
    maxStorageBuffersPerShaderStage: 16,
    minStorageBufferOffsetAlignment: 64,
    maxComputeWorkgroupsPerDimension: 65_535,
    ...limits,
  };
  const info = {
    vendor: "test",
    architecture: "",
    device: "test GPU",
    description: "",
    subgroupMinSize: 32,
    subgroupMaxSize: 32,
  };
  return {
    features: new Set(features),
    limits: known as unknown as GPUSupportedLimits,
    info: info as unknown as GPUAdapterInfo,
  };
}
