/** @file An adapter's abilities as plain numbers, for devices that compute nothing. */
import type { Capabilities } from "../../model/plan/dry-gpu.ts";

/** Features of a GPU with tensor cores. */
export const withMatrices = ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"] as const;

/** A GPU with f16, subgroups of 32 and matrices of 16x16x16, and the limits of lavapipe unless said. */
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
    subgroupMatrixConfigs: [{ componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 }],
  };
  return {
    features: new Set(features),
    limits: known as unknown as GPUSupportedLimits,
    info: info as unknown as GPUAdapterInfo,
  };
}
