/** @file Small pictures from the embedded checkpoint, and devices that fail on purpose. */
import { fileURLToPath } from "node:url";
import { create, globals } from "webgpu";
import { type FileSource, openFile } from "../../cli/files/file-source.ts";
import { Device, type DeviceOptions, type LimnError } from "../../engine/index.ts";
import { type GeneratedImage, type GenerateOptions, type LoadOptions, StableDiffusion } from "../../model/index.ts";

Object.assign(globalThis, globals);

/** Kept for the life of the process: Dawn's objects die with their GPU. */
const gpu: GPU = create(["enable-dawn-features=allow_unsafe_apis"]);

export const embeddedModel = fileURLToPath(new URL("../../checkpoints/limn-emoji.safetensors", import.meta.url));

/** The smallest picture that goes through every stage. */
export const small = { width: 64, height: 64, steps: 2, seed: 3n, guidance: 4 } as const;

export function adapter(): Promise<GPUAdapter> {
  return gpu.requestAdapter().then((found) => {
    if (!found) throw new Error("no adapter: run the set-up first");
    return found;
  });
}

export async function createDevice(options: DeviceOptions = {}): Promise<Device> {
  return Device.create(gpu, options);
}

/** Files whose models live: token embeddings are read by row for every prompt. */
const open: FileSource[] = [];

/** Opens a checkpoint for small pictures. */
export async function loadSmall(
  device: Device,
  { path = embeddedModel, ...options }: Partial<LoadOptions> & { readonly path?: string } = {},
): Promise<StableDiffusion> {
  const file = await openFile(path);
  open.push(file);
  return StableDiffusion.load(file, { picture: small, ...options, device });
}

/** Runs a picture to its end. */
export async function picture(
  model: StableDiffusion,
  options: GenerateOptions = {},
  onStep: (step: number) => void = () => {},
): Promise<GeneratedImage> {
  const generation = model.generate("a red fox", { ...small, ...options });
  for (;;) {
    const next = await generation.next();
    if (next.done) return next.value;
    onStep(next.value.step);
  }
}

/** What a promise rejects with; fails if it doesn't. */
export async function rejection(promise: Promise<unknown>): Promise<LimnError> {
  const outcome = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (outcome === undefined) throw new Error("it was expected to fail, and did not");
  return outcome as LimnError;
}

export interface Call {
  /** "createBuffer", "queue.submit". */
  readonly name: string;
  /** Counted from the device's start, over all calls. */
  readonly index: number;
  readonly args: readonly unknown[];
  readonly real: GPUDevice;
  /** Reports an error that nobody awaits, as Dawn does: before the call returns. */
  report(error: GPUError): void;
}

/** Sees every call of a GPUDevice and its queue; may return something in the call's place, or throw. */
export type Intercept = (call: Call) => object | undefined;

/** An adapter whose device counts its calls and lets `intercept` interfere. */
export async function interceptedDevice(intercept: Intercept, options: DeviceOptions = {}): Promise<Device> {
  const real = await adapter();
  const wrapped = new Proxy(real, {
    get: (target, name) => {
      if (name !== "requestDevice") return bound(target, name);
      return async (descriptor: GPUDeviceDescriptor) => interceptCalls(await target.requestDevice(descriptor), intercept);
    },
  });
  return Device.create(gpu, { ...options, adapter: wrapped });
}

function interceptCalls(real: GPUDevice, intercept: Intercept): GPUDevice {
  let index = 0;
  const listeners: ((event: Event) => void)[] = [];
  real.addEventListener("uncapturederror", (event) => {
    for (const listener of listeners) listener(event);
  });
  const addEventListener = (_: string, listener: (event: Event) => void): void => void listeners.push(listener);
  const report = (error: GPUError): void => {
    for (const listener of listeners) listener(Object.assign(new Event("uncapturederror", { cancelable: true }), { error }));
  };
  const wrap = <T extends object>(target: T, prefix: string): T =>
    new Proxy(target, {
      get: (_, name) => {
        const value = bound(target, name);
        if (name === "queue") return queue;
        if (name === "addEventListener") return addEventListener;
        if (typeof value !== "function" || name === "destroy") return value;
        return (...args: unknown[]) => {
          const replaced = intercept({ name: `${prefix}${String(name)}`, index: index++, args, real, report });
          return replaced ?? (value as (...args: unknown[]) => unknown)(...args);
        };
      },
    });
  const queue: GPUQueue = wrap(real.queue, "queue.");
  return wrap(real, "");
}

/** Native objects refuse to have their methods called on a proxy. */
function bound(target: object, name: string | symbol): unknown {
  const value: unknown = Reflect.get(target, name, target);
  return typeof value === "function" ? value.bind(target) : value;
}
