/** @file Devices for tests of the matrix tier, which few adapters have. */

import { expect } from "vitest";
import { create } from "webgpu";
import { type Device, type KernelDefinition, type MatrixConfig, matrixFeature } from "../../engine/index.ts";
import { skipped } from "../skip.ts";
import { type DeviceOptions, type TestDevice, useDevice } from "./harness.ts";

const gpu = create(["enable-dawn-features=allow_unsafe_apis"]);
const adapter = await gpu.requestAdapter();
const offered = adapter?.features.has(matrixFeature as GPUFeatureName) ?? false;

/** What asks for the matrix tier where the adapter has it. */
export const matrixOptions: DeviceOptions = offered ? { tier: "matrix" } : {};

/** A device of the matrix tier where the adapter has it; else any, and `noMatrices` skips the tests. */
export function useMatrixDevice(options: DeviceOptions = {}): TestDevice {
  return useDevice({ ...options, ...matrixOptions });
}

/** Set where the driver was chosen for its matrices: to skip the tests would be to say that they passed. */
const demanded = process.env["LIMN_TEST_MATRICES"] === "required";

/**
 * Skips a test, with the reason, on an adapter without subgroup matrices of f16 with f32 sums.
 * @throws Error where `LIMN_TEST_MATRICES=required` (as .ci/run sets it) says that there must be such
 */
export function noMatrices(device: Device, skip: (reason: string) => void): void {
  if (device.tier === "matrix" && device.matrixConfig) return;
  const why = `this adapter (${device.info.description}) has no subgroup matrices; scripts/mesa-with-matrices.sh sets up one that has`;
  if (demanded) throw new Error(`LIMN_TEST_MATRICES=required, but ${why}`);
  if (skipped("the matrix tier", why)) skip(why);
}

/** Lets a device of the null backend, which lists no configurations, claim one. */
export function fakeConfig(device: Device, config: MatrixConfig): Device {
  const limits = new Proxy(device.gpu.limits, {
    get: (real, name) => (name === "maxComputeWorkgroupStorageSize" ? 49152 : Reflect.get(real, name, real)),
  });
  return Object.defineProperties(device, {
    matrixConfig: { value: config, configurable: true },
    limits: { value: limits, configurable: true },
  });
}

/** Type-checks a variant without making a pipeline: the null backend has 16 KiB of workgroup memory, less than a GPU's tiles take. */
export async function accepts(
  device: Device,
  kernel: KernelDefinition,
  tunables: Readonly<Record<string, number>>,
): Promise<void> {
  const module = device.gpu.createShaderModule({ code: kernel.module({ types: { Element: "f16" }, tunables }) });
  const { messages } = await module.getCompilationInfo();
  expect(messages.filter(({ type }) => type === "error").map(({ lineNum, message }) => `line ${lineNum}: ${message}`)).toEqual(
    [],
  );
}
