/**
 * @file A checkpoint on its way to the device: owns the tensors that modules asked for through `Weights`, fills them from the
 * file, and accounts for every tensor of the file: used, ignored by a rule, left out on purpose, or unused.
 */
import type { Device, Tensor } from "../../engine/index.ts";
import { changed, listed, missing, unreadable, unused } from "./checkpoint-errors.ts";
import { isWeightDType } from "./dtypes.ts";
import type { Part, Target } from "./load-plan.ts";
import { type LoadOptions, loadTargets } from "./loader.ts";
import { printable } from "./printable.ts";
import { expectTable, type Request, requestConv, requestLinear, requestMatrix, requestVector } from "./requests.ts";
import { RowReader } from "./rows.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";
import { readScales, scaleEntry } from "./scales.ts";
import { type Ignored, sortUnused } from "./unused.ts";
import { Weights } from "./weights.ts";

export interface CheckpointOptions {
  /** dtype of matrices and convolutions on the device; the device's storage dtype unless said. Vectors are f32 always. */
  readonly weightDType?: "f16" | "f32";
  /** F16 of the file stays f16 where `weightDType` is f32: the same numbers in half the memory. `widen` makes f32 of it. */
  readonly keepHalves?: boolean;
  /** Load NaN and infinity instead of refusing them. */
  readonly allowNonfinite?: boolean;
  /** Refuse a file with tensors that nothing uses and no rule explains. */
  readonly strict?: boolean;
  /** Tensors have no memory before they are loaded. */
  readonly parked?: boolean;
  /** For messages: what the file was recognised as. */
  readonly family?: string;
}

export class Checkpoint {
  readonly file: SafetensorsFile;
  readonly device: Device;
  readonly weightDType: "f16" | "f32";
  /** What a user should know about the weights, one line each. */
  readonly warnings: string[] = [];
  /** Counts the tensors that were replaced by others: modules that were made at another count must be made again. */
  replaced = 0;
  readonly #options: CheckpointOptions;
  readonly #targets = new Map<string, Target>();
  readonly #tables = new Map<string, RowReader>();
  readonly #pending = new Set<Target>();
  readonly #used = new Set<string>();
  readonly #missing = new Set<string>();
  readonly #placeholders: Tensor[] = [];
  readonly #left: string[] = [];

  constructor(file: SafetensorsFile, device: Device, options: CheckpointOptions = {}) {
    this.file = file;
    this.device = device;
    this.weightDType = options.weightDType ?? device.storage;
    this.#options = options;
  }

  get weights(): Weights {
    return new Weights(this, "");
  }

  /** Bytes of all weights on the device. */
  get bytes(): number {
    return [...this.#targets.values()].reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  }

  /** What modules asked for: each tensor on the device, and the names of the file's tensors in it. */
  get tensors(): { readonly tensor: Tensor; readonly names: readonly string[] }[] {
    return [...this.#targets.values()].map(({ tensor, parts }) => ({ tensor, names: parts.map(({ entry }) => entry.name) }));
  }

  /** The tensors on the device and how each is made from the file, for add-ons that change them. */
  get targets(): readonly Target[] {
    return [...this.#targets.values()];
  }

  /**
   * Streams these targets from the file, once more or into other tensors.
   * @throws ModelFileError CHECKPOINT_NONFINITE, CHECKPOINT_CHANGED
   */
  async stream(targets: readonly Target[], options: LoadOptions = {}): Promise<void> {
    const allowNonfinite = this.#options.allowNonfinite ?? false;
    await loadTargets(this.device, this.file.source, targets, { ...options, allowNonfinite });
    await this.#expectUnchanged();
  }

  /**
   * f32 tensors, whose contents are undefined, in place of those of `targets` that were kept as f16 (see `keepHalves`): weights that are to
   * hold more than the file says. Gives the targets of now for those given.
   */
  widen(targets: Iterable<Target>): ReadonlyMap<Target, Target> {
    const halves = new Set(this.weightDType === "f32" ? [...targets].filter(({ dtype }) => dtype === "f16") : []);
    return new Map([...halves].map((target) => [target, this.#widen(target)]));
  }

  /** Tensors that no module asked for and a rule explains, by reason. */
  get ignored(): readonly Ignored[] {
    return sortUnused(this.#unasked()).ignored;
  }

  /** Tensors that no module asked for and no rule explains. */
  get unused(): readonly string[] {
    return sortUnused(this.#unasked()).unused;
  }

  /**
   * Makes modules and loads their weights: `make` only asks for tensors, so it can be called again where a weight turned out to
   * need f32.
   * @throws ModelFileError CHECKPOINT_MISSING, CHECKPOINT_SHAPE, CHECKPOINT_DTYPE, CHECKPOINT_NONFINITE, CHECKPOINT_UNUSED,
   *   CHECKPOINT_CHANGED
   */
  async build<T>(make: (weights: Weights) => T, options: LoadOptions = {}): Promise<T> {
    const made = this.#make(make);
    return (await this.load(options)) ? this.#make(make) : made;
  }

  /**
   * Streams what was asked for since the last load, or a part of it. True if a weight went from f16 to f32: its tensor is another one now, and
   * modules that hold the old one must be made again (`build` does both).
   */
  async load(options: LoadOptions = {}, only: (target: Target) => boolean = () => true): Promise<boolean> {
    this.expectComplete();
    const unasked = this.#options.strict ? this.unused : [];
    if (unasked.length > 0) throw unused(this.file.source.name, unasked);
    const targets = [...this.#pending].filter(only);
    for (const { tensor } of targets) this.device.unpark(tensor);
    await readScales(
      this.file,
      targets.flatMap(({ parts }) => parts),
    );
    const loadOptions = { ...options, allowNonfinite: this.#options.allowNonfinite ?? false };
    const { overflowed, allZero } = await loadTargets(this.device, this.file.source, targets, loadOptions);
    for (const target of targets) this.#pending.delete(target);
    const widened = overflowed.map((target) => this.#widen(target));
    if (widened.length > 0) {
      await loadTargets(this.device, this.file.source, widened, { allowNonfinite: loadOptions.allowNonfinite });
      this.warnings.push(`${listed(widened.map(({ label }) => label))}: values above 65504 do not fit f16, kept in f32`);
    }
    if (allZero.length > 0) this.warnings.push(`${listed(allZero.map(({ label }) => label))}: all zero`);
    for (const table of this.#tables.values()) await table.check(options.signal);
    await this.#expectUnchanged();
    return widened.length > 0;
  }

  /** What is missing stands as placeholders, of which nothing may be recorded. @throws ModelFileError CHECKPOINT_MISSING */
  expectComplete(): void {
    if (this.#missing.size === 0) return;
    throw missing(this.file.source.name, [...this.#missing], this.#options.family);
  }

  /** Gives all weights back. */
  free(): void {
    for (const { tensor } of this.#targets.values()) tensor.free();
    for (const tensor of this.#placeholders) tensor.free();
    this.#targets.clear();
    this.#pending.clear();
  }

  /** See Weights.linear and Weights.concatLinear. */
  linear(names: readonly string[]): Tensor {
    return this.#tensor(names, [4, 4], (entries) => requestLinear(this.file.source.name, entries));
  }

  /** See Weights.matrix. */
  matrix(name: string): Tensor {
    return this.#tensor([name], [4, 4], ([entry]) => requestMatrix(this.file.source.name, entry!));
  }

  /** See Weights.conv. */
  conv(name: string, padInput = 0): Tensor {
    return this.#tensor([name], [1, 1, 4, 4], ([entry]) => requestConv(this.file.source.name, entry!, padInput));
  }

  /** See Weights.vector and Weights.concatVector. */
  vector(names: readonly string[], pad = 0): Tensor {
    return this.#tensor(names, [4], (entries) => requestVector(this.file.source.name, entries, pad));
  }

  /** See Weights.rows. */
  rows(name: string): RowReader {
    const known = this.#tables.get(name);
    if (known !== undefined) return known;
    const [entry] = this.#entries([name]) ?? [{ name, dtype: "F32", shape: [1, 1], begin: 0, end: 0 } as const];
    expectTable(this.file.source.name, entry!);
    const dtype = this.#weightDType(entry!);
    const table = new RowReader(this.file, { ...entry!, dtype }, this.#options.allowNonfinite ?? false);
    this.#tables.set(name, table);
    return table;
  }

  /** See Weights.leave. */
  leave(path: string): void {
    this.#left.push(path);
  }

  async #expectUnchanged(): Promise<void> {
    if ((await this.file.source.unchanged?.()) !== false) return;
    throw changed(this.file.source.name);
  }

  #make<T>(make: (weights: Weights) => T): T {
    try {
      return make(this.weights);
    } catch (error) {
      // Missing tensors come first: what else went wrong followed from them.
      this.expectComplete();
      throw error;
    }
  }

  /** The tensor for these names, allocated once and noted for loading; `placeholder` is its shape where one is missing. */
  #tensor(
    names: readonly string[],
    placeholder: readonly number[],
    request: (entries: readonly TensorEntry[]) => Request,
  ): Tensor {
    const entries = this.#entries(names);
    if (entries === undefined) return this.#placeholder(placeholder);
    const { kind, isMatrix, shape, layout, outputs } = request(entries);
    const key = [kind, ...names].join("\n");
    const known = this.#targets.get(key);
    if (known !== undefined) return known.tensor;
    let column = 0;
    const parts = entries.map((entry, index): Part => {
      const scale = scaleEntry(this.file, entry);
      if (scale) this.#used.add(scale.name);
      const part = { entry, dtype: this.#weightDType(entry), column, scaleEntry: scale };
      column += outputs[index] ?? 0;
      return part;
    });
    const label = printable(names.join(" + "));
    const dtype = isMatrix ? this.#storageOf(parts) : "f32";
    const target: Target = { label, tensor: this.#newTensor(shape, dtype, label), dtype, layout, parts, isMatrix };
    this.#targets.set(key, target);
    this.#pending.add(target);
    return target.tensor;
  }

  #newTensor(shape: readonly number[], dtype: "f16" | "f32", label: string): Tensor {
    return this.#options.parked ? this.device.parked(shape, dtype, label) : this.device.empty(shape, dtype, label);
  }

  #storageOf(parts: readonly Part[]): "f16" | "f32" {
    const areHalves = parts.every(({ dtype, scaleEntry }) => dtype === "F16" && !scaleEntry);
    return this.#options.keepHalves && areHalves ? "f16" : this.weightDType;
  }

  #widen(narrow: Target): Target {
    this.replaced++;
    const tensor = this.device.empty(narrow.tensor.shape, "f32", narrow.label);
    const target: Target = { ...narrow, tensor, dtype: "f32" };
    for (const [key, value] of this.#targets) if (value === narrow) this.#targets.set(key, target);
    narrow.tensor.free();
    return target;
  }

  #entries(names: readonly string[]): TensorEntry[] | undefined {
    const entries = names.map((name) => {
      const entry = this.file.tensors.get(name);
      if (entry === undefined) this.#missing.add(name);
      else this.#used.add(name);
      return entry;
    });
    return entries.every((entry) => entry !== undefined) ? entries : undefined;
  }

  /** Stands in for a missing tensor until all that are missing can be listed. */
  #placeholder(shape: readonly number[]): Tensor {
    const tensor = this.device.empty(shape, "f32", "missing weight");
    this.#placeholders.push(tensor);
    return tensor;
  }

  #weightDType(entry: TensorEntry): Part["dtype"] {
    if (isWeightDType(entry.dtype)) return entry.dtype;
    throw unreadable(this.file.source.name, entry);
  }

  #unasked(): string[] {
    const left = (name: string): boolean => this.#left.some((path) => name === path || name.startsWith(`${path}.`));
    return [...this.file.tensors.keys()].filter((name) => !this.#used.has(name) && !left(name));
  }
}
