/**
 * @file A kernel: one WGSL body, the buffers and uniforms it declares, and a typed `launch`. The body is a constant string;
 * everything that varies (element types, flags, tunables, binding lines) is declared in a generated preamble (preamble.ts).
 */
import type { Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import { ShapeError } from "./errors.ts";
import { writeModule } from "./preamble.ts";
import type { Grid } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

export type Access = "read" | "write" | "read_write";

export interface BufferDetails {
  readonly access: Access;
  /**
   * Element type in WGSL: a fixed one ("f32", "u32", "atomic<u32>", "f16") or the name of an alias ("Element", "Weight") that
   * stands for the dtype of the tensors bound under it. Default "Element".
   */
  readonly type?: string;
  /** Elements are read in vectors: 4 gives `array<Element4>`. */
  readonly vec?: 2 | 4;
  /** May be left out at launch: a small buffer is bound in its place and a flag must keep the body from reading it. */
  readonly optional?: boolean;
}
export type BufferSpec = Access | BufferDetails;

export type ScalarType = "u32" | "i32" | "f32";

/** A piece of WGSL that several kernels share. Snippets may need others; each is written once. */
export interface Snippet {
  readonly name: string;
  readonly needs?: readonly Snippet[];
  readonly wgsl: string;
}

export function defineSnippet(snippet: Snippet): Snippet {
  return snippet;
}

export interface KernelSpec {
  readonly name: string;
  /** Step of the ladder ("naive", "software", ...), where an operation has several. */
  readonly rung?: string;
  readonly buffers: Readonly<Record<string, BufferSpec>>;
  readonly uniforms?: Readonly<Record<string, ScalarType>>;
  /** Switches known when the pipeline is made: `const NAME = false;` */
  readonly flags?: Readonly<Record<string, boolean>>;
  /** Sizes known when the pipeline is made: `const NAME = 64u;` WORKGROUP_SIZE (64) is always there. */
  readonly tunables?: Readonly<Record<string, number>>;
  readonly snippets?: readonly Snippet[];
  /** Its aliases may stand for u32, too: it moves elements and computes nothing with them. */
  readonly moves?: boolean;
  /** Language extensions to `enable`; f16 is added where a type needs it. */
  readonly features?: readonly string[];
  readonly wgsl: string;
}

type OptionalBuffer<S extends KernelSpec> = {
  [K in keyof S["buffers"]]: S["buffers"][K] extends { readonly optional: true } ? K : never;
}[keyof S["buffers"]];
type LaunchBuffers<S extends KernelSpec> = { readonly [K in Exclude<keyof S["buffers"], OptionalBuffer<S>>]: Tensor } & {
  readonly [K in OptionalBuffer<S>]?: Tensor | undefined;
};
type LaunchUniforms<S extends KernelSpec> =
  S["uniforms"] extends Readonly<Record<string, ScalarType>>
    ? { readonly [K in keyof S["uniforms"]]: number }
    : Record<string, never>;

export interface LaunchOptions<S extends KernelSpec> {
  readonly flags?: Partial<Record<keyof NonNullable<S["flags"]>, boolean>>;
  readonly tunables?: Partial<Record<keyof NonNullable<S["tunables"]> | "WORKGROUP_SIZE", number>>;
}

/** What a variant of a kernel is compiled for. */
export interface Variant {
  /** dtype behind each alias, e.g. { Element: "f16", Weight: "f16" }. */
  readonly types: Readonly<Record<string, DType>>;
  readonly flags?: Readonly<Record<string, boolean | undefined>>;
  readonly tunables?: Readonly<Record<string, number | undefined>>;
}

/** What the engine needs to know of a kernel, whatever its buffers are. */
export class KernelDefinition {
  readonly spec: KernelSpec;
  /** `conv2d/naive`. */
  readonly name: string;
  readonly bufferNames: readonly string[];
  /** Declared buffers in binding order, with the defaults filled in. */
  readonly buffers: readonly Required<Omit<BufferDetails, "vec">>[];
  readonly uniformNames: readonly string[];
  readonly uniformTypes: readonly ScalarType[];

  constructor(spec: KernelSpec) {
    this.spec = spec;
    this.name = spec.rung === undefined ? spec.name : `${spec.name}/${spec.rung}`;
    this.bufferNames = Object.keys(spec.buffers);
    this.buffers = this.bufferNames.map((name) => {
      const buffer = spec.buffers[name]!;
      const details: BufferDetails = typeof buffer === "string" ? { access: buffer } : buffer;
      return { access: details.access, type: details.type ?? "Element", optional: details.optional ?? false };
    });
    this.uniformNames = Object.keys(spec.uniforms ?? {});
    this.uniformTypes = Object.values(spec.uniforms ?? {});
  }

  /** The whole WGSL module of a variant, as the driver gets it. */
  module(variant: Variant): string {
    return writeModule(this.spec, variant);
  }
}

export class Kernel<S extends KernelSpec = KernelSpec> extends KernelDefinition {
  /** Records one dispatch of `grid` workgroups. Nothing waits; the device runs it at the next flush or replay. */
  launch(buffers: LaunchBuffers<S>, uniforms: LaunchUniforms<S>, grid: Grid, options: LaunchOptions<S> = {}): void {
    const bound = buffers as Readonly<Record<string, Tensor | undefined>>;
    const types: Record<string, DType> = {};
    let device: Device | undefined;
    const tensors = this.bufferNames.map((name, i) => {
      const tensor = bound[name];
      const { type, optional } = this.buffers[i]!;
      if (tensor === undefined) {
        if (!optional) throw new ShapeError(`${this.name}: buffer ${name} is missing`);
        return undefined;
      }
      this.#note(types, name, type, tensor);
      device ??= tensor.device;
      return tensor;
    });
    if (!device) throw new ShapeError(`${this.name}: a launch needs a tensor`);
    device.record(
      this,
      { types, flags: options.flags as Variant["flags"] & object, tunables: options.tunables as Variant["tunables"] & object },
      tensors,
      uniforms,
      grid,
    );
  }

  #note(types: Record<string, DType>, name: string, type: string, tensor: Tensor): void {
    const fixed = type === "atomic<u32>" ? "u32" : type;
    if (fixed === "f32" || fixed === "u32" || fixed === "f16") {
      if (tensor.dtype !== fixed)
        throw new ShapeError(`${this.name}: buffer ${name} holds ${fixed}, but was given ${tensor.label}`);
      return;
    }
    if (tensor.dtype === "u32" && !this.spec.moves)
      throw new ShapeError(`${this.name}: buffer ${name} holds f32 or f16, but was given ${tensor.label}`);
    const known = types[type];
    if (known !== undefined && known !== tensor.dtype) {
      throw new ShapeError(
        `${this.name}: all tensors of type ${type} must have one dtype, but ${name} is ${tensor.label} beside ${known}`,
        { hint: "cast() one of them" },
      );
    }
    types[type] = tensor.dtype;
  }
}

/** Declares a kernel. A missing or misspelt buffer or uniform at launch does not compile. */
export function defineKernel<const S extends KernelSpec>(spec: S): Kernel<S> {
  return new Kernel(spec);
}
