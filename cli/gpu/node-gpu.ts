/**
 * @file Dawn as a Node module: the only place of the command that imports `webgpu`. Makes the GPU object with the toggles
 * that the engine wants, lists adapters and picks one.
 */
import { existsSync, readFileSync } from "node:fs";
import { delimiter } from "node:path";
import { adapterName } from "../../engine/adapter-name.ts";
import { AdapterError } from "../../engine/errors.ts";
import { explainAddonFailure } from "./addon-failure.ts";
import { driverAdvice, parseSystem, type System } from "./driver-advice.ts";
import { withQuietDriver } from "./quiet-driver.ts";

/** One adapter as Dawn lists it; `index` is what `--adapter` takes. */
export interface ListedAdapter {
  readonly index: number;
  /** The device's own name, e.g. "llvmpipe (LLVM 15.0.6, 256 bits)". */
  readonly name: string;
  readonly backend: string;
  /** False for a later one of equal names: Dawn picks by name, so only the first can be reached. */
  readonly reachable: boolean;
}

export interface GpuChoice {
  /** Index into `listAdapters()`; without it Dawn's own order decides (fastest first). */
  readonly adapter?: number | undefined;
  /** Refuse an adapter that computes on the CPU. */
  readonly requireGpu?: boolean | undefined;
}

/** An open GPU. Keep it (not only its parts) until the work is done: Dawn's instance lives as long as `gpu` is referenced. */
export interface NodeGpu {
  readonly gpu: GPU;
  readonly adapter: GPUAdapter;
  /** True when the adapter computes on the CPU (lavapipe, SwiftShader, WARP). */
  readonly software: boolean;
  /** Lets go of Dawn, after `Device.close()`: nothing keeps the process alive any more. */
  release(): void;
}

const toggles = [
  // Subgroup matrices and other experimental features show only with allow_unsafe_apis; NVIDIA's f16 is switched off in Dawn
  // because of a driver bug in render pipelines, which limn does not use.
  "enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia",
  // Whole nanoseconds instead of steps of 100 microseconds, for the profiler.
  "disable-dawn-features=timestamp_quantization",
];

/** No device is called this, so asking for it makes Dawn list those there are. */
const NO_SUCH_DEVICE = "(list)";

let addon: typeof import("webgpu") | undefined;
/** GPU objects in use: Dawn's instance dies with its last reference. */
const open = new Set<GPU>();

/** This system, as far as driver advice needs it. */
export function thisSystem(): System {
  let osRelease = "";
  if (process.platform === "linux" && existsSync("/etc/os-release")) osRelease = readFileSync("/etc/os-release", "utf8");
  return parseSystem(process.platform, osRelease);
}

/** Creates Dawn's GPU object and puts WebGPU's constants and classes where browsers have them. @throws AdapterError ADDON_LOAD */
async function createGpu(...options: string[]): Promise<GPU> {
  try {
    addon ??= await import("webgpu");
  } catch (error) {
    throw explainAddonFailure(error);
  }
  Object.assign(globalThis, addon.globals);
  return addon.create([...toggles, ...options]);
}

/** The best adapter. Dawn looks for it before the call returns, so this is where its messages come from. */
function requestAdapter(gpu: GPU): Promise<GPUAdapter | null> {
  return withQuietDriver(() => gpu.requestAdapter({ powerPreference: "high-performance" }));
}

/** Every adapter Dawn would use on this machine, best first. Empty where there is none. @throws AdapterError ADDON_LOAD */
export async function listAdapters(): Promise<ListedAdapter[]> {
  if (hidingVariable()) return [];
  const gpu = await createGpu(`adapter=${NO_SUCH_DEVICE}`);
  try {
    await requestAdapter(gpu);
    return [];
  } catch (error) {
    return parseAdapterList(error instanceof Error ? error.message : String(error));
  }
}

/** Reads Dawn's lines ` * backend: 'vulkan', name: 'llvmpipe (...)'`. */
export function parseAdapterList(text: string): ListedAdapter[] {
  const found: ListedAdapter[] = [];
  for (const match of text.matchAll(/^ \* backend: '(.*)', name: '(.*)'$/gm)) {
    const name = match[2]!;
    // Dawn takes the first device whose name contains the one asked for.
    const reachable = !found.some((other) => other.name.includes(name));
    found.push({ index: found.length, name, backend: match[1]!, reachable });
  }
  return found;
}

/**
 * Opens an adapter.
 * @throws AdapterError ADDON_LOAD, NO_ADAPTER, NO_SUCH_ADAPTER, ADAPTER_UNREACHABLE, SOFTWARE_ADAPTER
 */
export async function openGpu(choice: GpuChoice = {}): Promise<NodeGpu> {
  const options = choice.adapter === undefined ? [] : [`adapter=${await nameOfAdapter(choice.adapter)}`];
  if (hidingVariable()) throw noAdapter();
  const gpu = await createGpu(...options);
  const adapter = await requestAdapter(gpu);
  if (!adapter) throw noAdapter();
  const software = isSoftware(adapter.info);
  if (software && choice.requireGpu) {
    throw new AdapterError(
      "SOFTWARE_ADAPTER",
      `--require-gpu was given, but the adapter computes on the CPU: ${adapterName(adapter.info)}`,
      {
        hint: "install the graphics card's driver, pick another with --adapter (see `limn doctor`), or leave --require-gpu out",
        context: { adapter: adapterName(adapter.info) },
      },
    );
  }
  open.add(gpu);
  return { gpu, adapter, software, release: () => void open.delete(gpu) };
}

/** True for adapters that compute on the CPU; their Vulkan type says so, except for some wrappers. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  return (
    info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|softpipe|basic render/i.test(`${info.device} ${info.description}`)
  );
}

async function nameOfAdapter(index: number): Promise<string> {
  const adapters = await listAdapters();
  const chosen = adapters[index];
  if (adapters.length === 0) throw noAdapter();
  if (!chosen) {
    throw new AdapterError(
      "NO_SUCH_ADAPTER",
      `--adapter ${index}: there ${adapters.length === 1 ? "is 1 adapter" : `are ${adapters.length} adapters`}, counted from 0`,
      {
        hint: `known: ${adapters.map((one) => `${one.index} ${one.name}`).join("; ")}`,
        context: { adapters },
      },
    );
  }
  if (!chosen.reachable) {
    throw new AdapterError(
      "ADAPTER_UNREACHABLE",
      `--adapter ${index}: an earlier adapter has the same name (${chosen.name}), and Dawn picks by name`,
      {
        hint: "show the driver one card only: VK_DRIVER_FILES, CUDA_VISIBLE_DEVICES or MESA_VK_DEVICE_SELECT in the environment",
        context: { adapters },
      },
    );
  }
  return chosen.name;
}

/** The variable that hides every driver: it names files, and none of them is there. */
function hidingVariable(): string | undefined {
  return ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].find((name) => {
    const files = process.env[name]?.split(delimiter).filter(Boolean) ?? [];
    return files.length > 0 && !files.some((file) => existsSync(file));
  });
}

function noAdapter(): AdapterError {
  const advice = driverAdvice(thisSystem());
  const hidden = hidingVariable();
  return new AdapterError("NO_ADAPTER", "no WebGPU adapter: Dawn found no graphics driver that it can use", {
    hint: hidden ? `${hidden} names no file that is there (${process.env[hidden]}): unset it, or ${advice}` : advice,
    context: { system: thisSystem().name },
  });
}
