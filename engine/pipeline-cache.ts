/**
 * @file Compiled variants of kernels. The key is name, element types, flags and tunables: never a shape. Variants whose modules read the
 * same are one: the type of a buffer that is left out makes no difference.
 */
import { adapterName } from "./adapter-name.ts";
import { AdapterError, LimnError, ShaderError } from "./errors.ts";
import type { FailureWatch } from "./failure-watch.ts";
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
  readonly #adapter: string;
  readonly #failures: FailureWatch;
  readonly #layouts = new Map<KernelDefinition, Layouts>();
  readonly #compiled = new Map<KernelDefinition, Map<string, CompiledKernel & { readonly module: string }>>();

  constructor(device: GPUDevice, info: GPUAdapterInfo, failures: FailureWatch) {
    this.#device = device;
    this.#adapter = adapterName(info);
    this.#failures = failures;
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
      const module = kernel.module(variant);
      const layout = this.#layout(kernel).bindGroup;
      entry = [...variants.values()].find((other) => other.module === module);
      entry ??= { name: kernel.name, layout, pipeline: undefined, ready: undefined, module };
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

  /** Compiles now, for launches outside a capture. A refused shader fails the device, as there is nobody to throw to. */
  compileNow(kernel: KernelDefinition, variant: Variant): CompiledKernel {
    const entry = this.get(kernel, variant);
    if (entry.pipeline) return entry;
    const { result, refused } = this.#watching(() =>
      this.#device.createComputePipeline(this.#describe(kernel, this.#module(kernel, variant))),
    );
    entry.pipeline = result;
    this.#failures.expect(refused.then((error) => error && this.#shaderError(kernel, variant, error.message)));
    return entry;
  }

  async #compileAsync(kernel: KernelDefinition, variant: Variant, entry: CompiledKernel): Promise<void> {
    const { result: module, refused } = this.#watching(() => this.#module(kernel, variant));
    try {
      entry.pipeline = await this.#device.createComputePipelineAsync(this.#describe(kernel, module));
    } catch (error) {
      const cause = await this.#failures.causeOf(error);
      if (cause instanceof LimnError) throw cause;
      const message = (await refused)?.message ?? (cause instanceof Error ? cause.message : String(cause));
      throw this.#shaderError(kernel, variant, message, cause);
    }
  }

  /** Runs `make` and resolves `refused` to its validation error, which would fail the device without a name otherwise. */
  #watching<T>(make: () => T): { readonly result: T; readonly refused: Promise<GPUError | undefined> } {
    this.#device.pushErrorScope("validation");
    const result = make();
    const refused = this.#device.popErrorScope().then(
      (error) => error ?? undefined,
      () => undefined,
    );
    return { result, refused };
  }

  #module(kernel: KernelDefinition, variant: Variant): GPUShaderModule {
    return this.#device.createShaderModule({ label: kernel.name, code: kernel.module(variant) });
  }

  #describe(kernel: KernelDefinition, module: GPUShaderModule) {
    return { label: kernel.name, layout: this.#layout(kernel).pipeline, compute: { module, entryPoint: "main" } };
  }

  /** Browsers and Dawn write ":12:3 error: what" for a line that does not parse; a driver's own compiler writes anything. */
  #shaderError(kernel: KernelDefinition, variant: Variant, message: string, cause?: unknown): ShaderError {
    const [, line, what] = /:(\d+):\d+ error: (.*)/.exec(message) ?? [];
    const text = line && kernel.module(variant).split("\n")[Number(line) - 1]?.trim();
    return new ShaderError(
      "SHADER",
      `kernel ${kernel.name} on ${this.#adapter}: ${line ? `line ${line}: ${what}` : (message.split("\n")[0] ?? "")}`,
      {
        hint: text ? `the line is: ${text}` : `see the module with: limn kernel ${kernel.name}; another --tier may work`,
        context: { kernel: kernel.name, variant: variantKey(variant), adapter: this.#adapter, line: line && Number(line) },
        cause,
      },
    );
  }

  #layout(kernel: KernelDefinition): Layouts {
    let layouts = this.#layouts.get(kernel);
    if (!layouts) {
      const entries: GPUBindGroupLayoutEntry[] = kernel.buffers.map(({ access }, binding) => ({
        binding,
        visibility: computeStage,
        buffer: { type: access === "read" ? "read-only-storage" : "storage" },
      }));
      // No dynamic offset: the offset stands in the bind group, which is one argument less for every dispatch.
      if (hasUniforms(kernel.spec))
        entries.push({ binding: entries.length, visibility: computeStage, buffer: { type: "uniform" } });
      const limit = this.#device.limits.maxStorageBuffersPerShaderStage;
      if (kernel.buffers.length > limit)
        throw new AdapterError(
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
