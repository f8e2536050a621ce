/**
 * @file One device for the tests of a file. Every tensor it makes is poisoned with NaN bits and followed by guard words, and after
 * each test the guards must be intact and no bytes may be live that weren't before.
 *
 *   const gpu = useDevice();
 *   test("...", async () => {
 *     const x = gpu.random([2, 5, 64], "f16");
 *     const actual = await gpu.evaluate(() => layerNorm(x.upload(), ...));
 *     closeTo(actual, oracle(x.values, ...), 2e-3);
 *   });
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect } from "vitest";
import { create, globals } from "webgpu";
import { Device } from "../../engine/device.ts";
import { bytesPerElement, type DType } from "../../engine/dtype.ts";
import { elementCount, Tensor } from "../../engine/tensor.ts";
import { skipped } from "../skip.ts";
import { normals, seed, stored } from "./random.ts";

export { closeTo, difference } from "./close.ts";
export { normals, seed, stored, uniform } from "./random.ts";

Object.assign(globalThis, globals);

/** Kept for the life of the process: Dawn's objects die with their GPU. */
const instances = new Map<string, GPU>();

function instance(backend: "real" | "null"): GPU {
  let gpu = instances.get(backend);
  if (!gpu) {
    gpu = create(["enable-dawn-features=allow_unsafe_apis", ...(backend === "null" ? ["backend=null"] : [])]);
    instances.set(backend, gpu);
  }
  return gpu;
}

/** What a weaker adapter offers: no f16, no subgroups, WebGPU's default 256 invocations and 16 KiB a workgroup. */
export const limited: DeviceOptions = {
  withhold: ["shader-f16", "subgroups"],
  limits: { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupSizeX: 256, maxComputeWorkgroupStorageSize: 16384 },
};

export type DeviceOptions = NonNullable<Parameters<typeof Device.create>[1]>;

/** A device on Dawn's null backend: it checks shaders and validates every call, and computes nothing. */
export function createNullDevice(options: DeviceOptions = {}): Promise<Device> {
  return Device.create(instance("null"), options);
}

/** A device on whatever adapter is there, for what needs more than one device. */
export function createDevice(options: DeviceOptions = {}): Promise<Device> {
  return Device.create(instance("real"), options);
}

/** Runs `fn` while no binding of the device may have more than `bytes`. */
export async function withBindingsOf<T>(device: Device, bytes: number, fn: () => Promise<T>): Promise<T> {
  const { limits } = device;
  const held = new Proxy(limits, {
    get: (real, name) => (name === "maxStorageBufferBindingSize" ? bytes : Reflect.get(real, name, real)),
  });
  Object.defineProperty(device, "limits", { value: held, configurable: true });
  try {
    return await fn();
  } finally {
    Object.defineProperty(device, "limits", { value: limits, configurable: true });
  }
}

export interface RandomInput {
  readonly shape: readonly number[];
  /** The numbers as stored: rounded to f16 where the dtype is f16. */
  readonly values: Float32Array;
  /** A new tensor with them, to be called inside `evaluate`. */
  upload(): Tensor;
}

export interface TestDevice {
  /** Ready once the tests of the file run. */
  readonly device: Device;
  /** f32, and f16 where the device has it. */
  readonly dtypes: readonly ("f32" | "f16")[];
  input(shape: readonly number[], values: Float32Array, dtype?: "f32" | "f16"): RandomInput;
  random(shape: readonly number[], dtype?: "f32" | "f16", options?: { mean?: number; std?: number }): RandomInput;
  /** Runs operations in a scope and reads their result; everything is freed. */
  evaluate(operations: () => Tensor): Promise<Float32Array>;
  /** The same for a u32 result. */
  evaluateU32(operations: () => Tensor): Promise<Uint32Array>;
  /** Fails where a kernel wrote behind a tensor since the last check; runs after every test. */
  checkGuards(): Promise<void>;
}

/** Sets up a device for this file and checks memory after each of its tests. */
export function useDevice(options: DeviceOptions = {}): TestDevice {
  let device: Device | undefined;
  let guards: Guards | undefined;
  let liveBefore = 0;

  beforeAll(async () => {
    device = await createDevice(options);
    guards = new Guards(device);
    console.info(`seed ${seed}, ${device.info.description || device.info.device}, tier ${device.tier}`);
  });
  beforeEach(() => {
    liveBefore = device!.memory.liveBytes;
  });
  afterEach(async () => {
    const live = device!.memory.liveBytes;
    await guards!.check();
    expect(live, "live bytes after the test").toBe(liveBefore);
  });
  afterAll(() => device?.close());

  const current = () => {
    if (!device) throw new Error("the device exists only while tests run: use it inside test()");
    return device;
  };
  const input = (shape: readonly number[], values: Float32Array, dtype: "f32" | "f16" = "f32"): RandomInput => ({
    shape,
    values: stored(values, dtype),
    upload: () => current().upload(values, shape, dtype),
  });
  return {
    get device() {
      return current();
    },
    get dtypes(): readonly ("f32" | "f16")[] {
      return current().features.has("shader-f16") ? ["f32", "f16"] : ["f32"];
    },
    input,
    random: (shape, dtype = "f32", spread = {}) => input(shape, normals(elementCount(shape), spread), dtype),
    evaluate: (operations) => readAndFree(current().scope(operations), (result) => result.read()),
    checkGuards: () => guards!.check(),
    evaluateU32: (operations) => readAndFree(current().scope(operations), (result) => result.readU32()),
  };
}

async function readAndFree<T>(result: Tensor, read: (result: Tensor) => Promise<T>): Promise<T> {
  try {
    return await read(result);
  } finally {
    result.free();
  }
}

/** One `describe` for each storage type. Tests of f16 skip themselves with `needsF16` where the adapter lacks it. */
export function forEachDType(body: (dtype: "f32" | "f16") => void): void {
  for (const dtype of ["f32", "f16"] as const) describe(dtype, () => body(dtype));
}

/** Skips the running test, with the reason, on a device without f16. */
export function needs(device: Device, feature: "shader-f16" | "subgroups", skip: (reason: string) => void): void {
  const why = !device.features.has(feature) && `this adapter (${device.info.description}) has no ${feature}`;
  if (skipped(`what needs ${feature}`, why)) skip(String(why));
}

/** NaN as f32, and NaN in both halves as f16. */
const poison = 0x7fed7fed;
const guardBytes = 256;

/** Replaces `device.empty`: tensors get more memory than they need, all of it poisoned, and the surplus is looked at later. */
class Guards {
  readonly #device: Device;
  /** Last tensor in each pooled buffer: where its guard begins. */
  readonly #tails = new Map<GPUBuffer, { readonly label: string; readonly begin: number; readonly end: number }>();

  constructor(device: Device) {
    this.#device = device;
    const empty = device.empty.bind(device);
    device.empty = (shape: readonly number[], dtype: DType = device.storage, label?: string): Tensor => {
      const size = elementCount(shape);
      const spare = guardBytes / bytesPerElement[dtype];
      const wide = empty([size + spare], dtype, label);
      const tensor = new Tensor(device, wide.allocation, shape, dtype, wide.offset);
      const end = wide.offset + (size + spare) * bytesPerElement[dtype];
      // The queue's writes run before commands that are recorded but not submitted yet.
      device.flush();
      device.gpu.queue.writeBuffer(
        wide.buffer.gpu,
        wide.offset,
        new Uint32Array(Math.ceil((end - wide.offset) / 4)).fill(poison),
      );
      this.#tails.set(wide.buffer.gpu, { label: tensor.label, begin: wide.offset + tensor.bytes, end });
      return tensor;
    };
    // A write from the host covers whole words, so the half word behind an odd number of f16 is no guard any more.
    const write = device.write.bind(device);
    device.write = (tensor: Tensor, data: Parameters<typeof write>[1]): void => {
      const tail = this.#tails.get(tensor.buffer.gpu);
      if (tail) this.#tails.set(tensor.buffer.gpu, { ...tail, begin: Math.ceil(tail.begin / 4) * 4 });
      write(tensor, data);
    };
  }

  /** Reads all guards and fails on the first one that something wrote into. */
  async check(): Promise<void> {
    this.#device.flush();
    const tails = [...this.#tails];
    this.#tails.clear();
    for (const [buffer, { label, begin, end }] of tails) {
      const from = Math.floor(begin / 4) * 4;
      const words = new Uint32Array(await this.#read(buffer, from, Math.floor((end - from) / 4) * 4));
      const halves = new Uint16Array(words.buffer).subarray((begin - from) / 2);
      const wrong = halves.findIndex((half) => half !== 0x7fed);
      expect(wrong, `${label}: a kernel wrote ${wrong * 2} bytes behind its end (repeat with LIMN_TEST_SEED=${seed})`).toBe(-1);
    }
  }

  async #read(source: GPUBuffer, offset: number, size: number): Promise<ArrayBuffer> {
    const gpu = this.#device.gpu;
    const staging = gpu.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source, offset, staging, 0, size);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const copy = staging.getMappedRange().slice(0);
    staging.destroy();
    return copy;
  }
}
