/**
 * @file Bind groups: what a dispatch finds under its bindings. Building one costs the host five times what encoding a dispatch
 * does (measured with Dawn: 14 us against 2.7), so those of launches outside captures are kept, and work that repeats builds none.
 */
import type { Device } from "./device.ts";
import type { KernelDefinition } from "./kernel.ts";
import { bufferUsage, type PooledBuffer } from "./pool.ts";
import type { Binding } from "./recorder.ts";
import { type UniformRange, uniformAlignment, uniformBytes, writeUniforms } from "./uniforms.ts";

/** A bind group, and the place of its uniforms in the cache's buffer. */
interface Place {
  readonly group: GPUBindGroup;
  readonly slot: number | undefined;
}

/** What is kept of one kernel with certain ranges bound: a place for every time that a batch launches it so. */
interface Entry {
  readonly key: string;
  readonly buffers: readonly PooledBuffer[];
  readonly places: Place[];
  /** The batch that used it last, and how many of its places. */
  batch: number;
  used: number;
}

/** Launches of one batch, at most: the uniforms of all lie side by side until it is submitted. */
const slots = 256;

export class BindGroupCache {
  /** Bind groups built so far, those of captures too. */
  built = 0;
  readonly #device: GPUDevice;
  readonly #uniforms: GPUBuffer;
  readonly #bytes = new ArrayBuffer(uniformAlignment);
  readonly #view = new DataView(this.#bytes);
  readonly #freeSlots: number[] = [];
  readonly #entries = new Map<string, Entry>();
  /** Entries that bind a buffer, to forget them when it is destroyed. */
  readonly #byBuffer = new Map<PooledBuffer, Set<Entry>>();
  readonly #layoutIds = new Map<GPUBindGroupLayout, number>();
  #batch = 0;

  constructor(device: Pick<Device, "gpu" | "allocate">) {
    this.#device = device.gpu;
    const usage = bufferUsage.UNIFORM | bufferUsage.COPY_DST;
    this.#uniforms = device.allocate({ label: "uniforms", size: slots * uniformAlignment, usage });
    this.#freeAll();
  }

  /**
   * A bind group for these ranges and these values of the uniforms, which it holds until `nextBatch`. Undefined where there is no
   * place left: then what was recorded must be submitted and the cache cleared.
   */
  get(
    layout: GPUBindGroupLayout,
    bindings: readonly Binding[],
    kernel: KernelDefinition,
    values: Readonly<Record<string, number>>,
  ): GPUBindGroup | undefined {
    const key = `${this.#idOf(layout)}|${bindings.map((b) => `${b.buffer.id}:${b.offset}:${b.size}`).join("|")}`;
    const entry = this.#entries.get(key) ?? this.#add(key, bindings);
    if (entry.batch !== this.#batch) {
      entry.batch = this.#batch;
      entry.used = 0;
    }
    const place = entry.places[entry.used] ?? this.#addPlace(entry, layout, bindings, kernel);
    if (place?.slot !== undefined) {
      entry.used++;
      writeUniforms(this.#view, 0, kernel, values);
      this.#device.queue.writeBuffer(this.#uniforms, place.slot * uniformAlignment, this.#bytes, 0, uniformBytes(kernel));
    }
    return place?.group;
  }

  /** Builds one that is kept by the caller (a capture). */
  build(layout: GPUBindGroupLayout, bindings: readonly Binding[], uniforms: UniformRange | undefined): GPUBindGroup {
    this.built++;
    const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
      binding,
      resource: { buffer: b.buffer.gpu, offset: b.offset, size: b.size },
    }));
    if (uniforms) entries.push({ binding: entries.length, resource: uniforms });
    return this.#device.createBindGroup({ layout, entries });
  }

  /** What was recorded is submitted: the queue keeps the order, so its uniforms may be written over. */
  nextBatch(): void {
    this.#batch++;
  }

  clear(): void {
    this.#entries.clear();
    this.#byBuffer.clear();
    this.#freeAll();
  }

  /** To be called when a buffer is destroyed. */
  forget(buffer: PooledBuffer): void {
    for (const entry of this.#byBuffer.get(buffer) ?? []) {
      this.#entries.delete(entry.key);
      for (const { slot } of entry.places) if (slot !== undefined) this.#freeSlots.push(slot);
      for (const other of entry.buffers) if (other !== buffer) this.#byBuffer.get(other)?.delete(entry);
    }
    this.#byBuffer.delete(buffer);
  }

  #add(key: string, bindings: readonly Binding[]): Entry {
    const entry: Entry = { key, buffers: bindings.map(({ buffer }) => buffer), places: [], batch: this.#batch, used: 0 };
    this.#entries.set(key, entry);
    for (const buffer of entry.buffers) {
      const known = this.#byBuffer.get(buffer);
      if (known) known.add(entry);
      else this.#byBuffer.set(buffer, new Set([entry]));
    }
    return entry;
  }

  #addPlace(entry: Entry, layout: GPUBindGroupLayout, bindings: readonly Binding[], kernel: KernelDefinition): Place | undefined {
    const size = uniformBytes(kernel);
    const slot = size === 0 ? undefined : this.#freeSlots.pop();
    if (size > 0 && slot === undefined) return undefined;
    const range = slot === undefined ? undefined : { buffer: this.#uniforms, offset: slot * uniformAlignment, size };
    const place: Place = { group: this.build(layout, bindings, range), slot };
    entry.places.push(place);
    return place;
  }

  #idOf(layout: GPUBindGroupLayout): number {
    const known = this.#layoutIds.get(layout);
    if (known !== undefined) return known;
    const id = this.#layoutIds.size;
    this.#layoutIds.set(layout, id);
    return id;
  }

  #freeAll(): void {
    this.#freeSlots.length = 0;
    for (let slot = slots - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
  }
}
