/** @file Compiled variants of kernels. The key is name, element types, flags and tunables: never a shape. */
import { LimnError, ShaderError } from "./errors.ts";
import type { KernelDefinition, Variant } from "./kernel.ts";
import { hasUniforms } from "./preamble.ts";

export interface CompiledKernel {
  readonly name: string;
  readonly layout: GPUBindGroupLayout;
  pipeline: GPUComputePipeline | undefined;
  /** Resolves when the asynchronous compilation is done. */
  ready: Promise<void> | undefined;
}

interface Layouts {
  readonly bindGroup: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

/** GPUShaderStage.COMPUTE. */
const computeStage = 4;

export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #layouts = new Map<KernelDefinition, Layouts>();
  readonly #compiled = new Map<KernelDefinition, Map<string, CompiledKernel & { readonly variant: Variant }>>();

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** How many variants have been asked for. */
  get size(): number {
    return [...this.#compiled.values()].reduce((sum, variants) => sum + variants.size, 0);
  }

  /** The variant, perhaps not compiled yet. */
  get(kernel: KernelDefinition, variant: Variant): CompiledKernel {
    let variants = this.#compiled.get(kernel);
    if (!variants) {
      variants = new Map();
      this.#compiled.set(kernel, variants);
    }
    const key = variantKey(variant);
    let entry = variants.get(key);
    if (!entry) {
      entry = { name: kernel.name, layout: this.#layout(kernel).bindGroup, pipeline: undefined, ready: undefined, variant };
      variants.set(key, entry);
    }
    return entry;
  }

  /** Starts to compile a variant beside other work; `entry.ready` tells when it is done. */
  compile(kernel: KernelDefinition, variant: Variant): Promise<void> {
    const entry = this.get(kernel, variant);
    entry.ready ??= entry.pipeline ? Promise.resolve() : this.#compileAsync(kernel, variant, entry);
    // A failure is reported by whoever awaits `ready`; without a waiter it must not end the process.
    entry.ready.catch(() => {});
    return entry.ready;
  }

  /** Compiles now, for launches outside a capture. */
  compileNow(kernel: KernelDefinition, variant: Variant): CompiledKernel {
    const entry = this.get(kernel, variant);
    entry.pipeline ??= this.#device.createComputePipeline({ ...this.#describe(kernel, variant) });
    return entry;
  }

  async #compileAsync(kernel: KernelDefinition, variant: Variant, entry: CompiledKernel): Promise<void> {
    const descriptor = this.#describe(kernel, variant);
    try {
      entry.pipeline = await this.#device.createComputePipelineAsync(descriptor);
    } catch (cause) {
      const info = await descriptor.compute.module.getCompilationInfo();
      const first = info.messages.find((message) => message.type === "error");
      const line = first ? kernel.module(variant).split("\n")[first.lineNum - 1]?.trim() : undefined;
      throw new ShaderError(
        "SHADER",
        `kernel ${kernel.name}: ${first ? `line ${first.lineNum}: ${first.message}` : cause instanceof Error ? cause.message : String(cause)}`,
        {
          hint: line ? `the line is: ${line}` : `see the module with: limn kernel ${kernel.name}`,
          context: { kernel: kernel.name, variant: variantKey(variant) },
          cause,
        },
      );
    }
  }

  #describe(kernel: KernelDefinition, variant: Variant) {
    const module = this.#device.createShaderModule({ label: kernel.name, code: kernel.module(variant) });
    return { label: kernel.name, layout: this.#layout(kernel).pipeline, compute: { module, entryPoint: "main" } };
  }

  #layout(kernel: KernelDefinition): Layouts {
    let layouts = this.#layouts.get(kernel);
    if (!layouts) {
      const entries: GPUBindGroupLayoutEntry[] = kernel.buffers.map(({ access }, binding) => ({
        binding,
        visibility: computeStage,
        buffer: { type: access === "read" ? "read-only-storage" : "storage" },
      }));
      // One dynamic offset lets a bind group serve every launch that has the same buffers.
      if (hasUniforms(kernel.spec))
        entries.push({ binding: entries.length, visibility: computeStage, buffer: { type: "uniform", hasDynamicOffset: true } });
      const limit = this.#device.limits.maxStorageBuffersPerShaderStage;
      if (kernel.buffers.length > limit)
        throw new LimnError(
          "TOO_MANY_BUFFERS",
          `kernel ${kernel.name} has ${kernel.buffers.length} buffers, the adapter allows ${limit}`,
        );
      const bindGroup = this.#device.createBindGroupLayout({ label: kernel.name, entries });
      layouts = { bindGroup, pipeline: this.#device.createPipelineLayout({ bindGroupLayouts: [bindGroup] }) };
      this.#layouts.set(kernel, layouts);
    }
    return layouts;
  }
}

function variantKey(variant: Variant): string {
  const part = (record: Readonly<Record<string, unknown>> | undefined) =>
    Object.entries(record ?? {})
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join(",");
  return `${part(variant.types)};${part(variant.flags)};${part(variant.tunables)}`;
}
