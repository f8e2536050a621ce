/**
 * @file A GPU that computes nothing and keeps no memory: work recorded on it shows what the same work would take on an adapter
 * with these limits (shapes, bands, dispatches, bytes) without asking that adapter for any of it.
 */
import { Device, type Tier } from "../../engine/index.ts";

/** What an adapter or a device can do. A `Device` is one. */
export interface Capabilities {
  readonly features: { has(name: string): boolean; [Symbol.iterator](): Iterator<string> };
  readonly limits: GPUSupportedLimits;
  readonly info: GPUAdapterInfo;
}

/** A device as Device.create would make it on such an adapter, on a dry GPU. */
export function dryDevice(
  like: Capabilities,
  options: { tier?: Tier; precision?: "auto" | "f32" | "f16" } = {},
): Promise<Device> {
  return Device.create(dryGpu(like), options);
}

function dryGpu(like: Capabilities): GPU {
  const features = new Set([...like.features]);
  const adapter = {
    features,
    limits: like.limits,
    info: like.info,
    requestDevice: async ({ requiredFeatures = [], requiredLimits = {} }: GPUDeviceDescriptor) =>
      stubDevice(new Set(requiredFeatures), limitsOf(like.limits, requiredLimits as Readonly<Record<string, number>>)),
  };
  return { requestAdapter: async () => adapter } as unknown as GPU;
}

/** A device has what was asked for; what nobody asks for stays at the default, which for this alignment is coarser. */
function limitsOf(limits: GPUSupportedLimits, required: Readonly<Record<string, number>>): GPUSupportedLimits {
  const known: Readonly<Record<string, number>> = { minStorageBufferOffsetAlignment: 256, ...required };
  return new Proxy(limits, { get: (target, name) => known[String(name)] ?? Reflect.get(target, name, target) });
}

/** Every object that the engine makes, as an empty one. */
function stubDevice(features: ReadonlySet<string>, limits: GPUSupportedLimits): GPUDevice {
  const object = () => ({});
  const device = {
    features,
    limits,
    queue: { writeBuffer() {}, submit() {}, onSubmittedWorkDone: async () => {} },
    lost: new Promise<never>(() => {}),
    addEventListener() {},
    destroy() {},
    createBuffer: () => ({ destroy() {} }),
    createShaderModule: object,
    createBindGroupLayout: object,
    createPipelineLayout: object,
    createComputePipeline: object,
    createComputePipelineAsync: async () => ({}),
    createBindGroup: object,
    pushErrorScope() {},
    popErrorScope: async () => null,
  };
  return device as unknown as GPUDevice;
}
