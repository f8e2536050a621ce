/**
 * @file GPU memory. A pool hands out storage buffers by size class and takes them back at once when a tensor dies: the queue
 * runs commands in order, so a buffer that an earlier command still reads may already be given to a later one.
 */
import { LimnError, OutOfMemoryError } from "./errors.ts";
import type { Slots } from "./slots.ts";

/** One storage buffer. `id` names it in bind-group keys. */
export interface PooledBuffer {
  readonly gpu: GPUBuffer;
  readonly bytes: number;
  readonly id: number;
}

/** A tensor's hold on a buffer; views (reshape, rows) share it. */
export interface Allocation {
  /** For messages: what the memory was taken for. */
  readonly label: string;
  readonly freed: boolean;
  readonly buffer: PooledBuffer;
  /** True while it has no memory, see `Pool.take`. */
  readonly parked?: boolean;
  /** What it is one of, where it does not have the buffer to itself. */
  readonly slots?: Slots;
  /** A launch that is being recorded binds it. */
  touch?(): void;
  release(): void;
}

/** Counters of a device, in bytes. */
export interface MemoryCounters {
  /** Held by tensors now. */
  liveBytes: number;
  /** All storage buffers that exist, held or free. */
  totalBytes: number;
  /** Highest `totalBytes` so far. */
  peakBytes: number;
}

/** WebGPU's buffer usage bits: numbers of the specification, so that no global of a host environment is needed. */
export const bufferUsage = {
  MAP_READ: 1,
  MAP_WRITE: 2,
  COPY_SRC: 4,
  COPY_DST: 8,
  UNIFORM: 64,
  STORAGE: 128,
  INDIRECT: 256,
  QUERY_RESOLVE: 512,
} as const;

let nextId = 1;

/** What the owner of a factory does at its turns. */
export interface FactoryEvents {
  destroyed(buffer: PooledBuffer): void;
  /** The host has no memory for a buffer: gives free ones back before the second try. */
  makeRoom(): void;
  /** The error when that did not help. */
  outOfMemory(message: string, cause: unknown): Error;
}

/** Makes and destroys storage buffers, and keeps count. */
export class BufferFactory {
  readonly counters: MemoryCounters = { liveBytes: 0, totalBytes: 0, peakBytes: 0 };
  readonly #device: GPUDevice;
  readonly #maxBytes: number;
  readonly #events: FactoryEvents;

  /** `maxBytes`: of one buffer. */
  constructor(device: GPUDevice, maxBytes: number, events: FactoryEvents) {
    this.#device = device;
    this.#maxBytes = maxBytes;
    this.#events = events;
  }

  create(bytes: number): PooledBuffer {
    this.expectPossible(bytes);
    const gpu = this.allocate({ size: bytes, usage: bufferUsage.STORAGE | bufferUsage.COPY_SRC | bufferUsage.COPY_DST });
    this.counters.totalBytes += bytes;
    this.counters.peakBytes = Math.max(this.counters.peakBytes, this.counters.totalBytes);
    return { gpu, bytes, id: nextId++ };
  }

  /** @throws OutOfMemoryError GPU_BUFFER_TOO_LARGE */
  expectPossible(bytes: number): void {
    const limit = this.#maxBytes;
    if (bytes > limit) {
      throw new OutOfMemoryError(
        "GPU_BUFFER_TOO_LARGE",
        `${bytes} bytes are more than one buffer may have on this adapter (${limit})`,
        {
          hint: "make a smaller picture or a smaller batch",
          context: { bytes, limit },
        },
      );
    }
  }

  destroy(buffer: PooledBuffer): void {
    this.counters.totalBytes -= buffer.bytes;
    this.#events.destroyed(buffer);
    buffer.gpu.destroy();
  }

  /**
   * A buffer that is not counted. The GPU reports its own lack of memory later (FailureWatch); the host's is a RangeError here and
   * now: then what is free is given back and it is tried once more.
   */
  allocate(descriptor: GPUBufferDescriptor): GPUBuffer {
    try {
      return this.#device.createBuffer(descriptor);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#events.makeRoom();
    }
    try {
      return this.#device.createBuffer(descriptor);
    } catch (cause) {
      throw this.#events.outOfMemory(`${descriptor.size} bytes could not be had`, cause);
    }
  }
}

export class Pool {
  readonly #factory: BufferFactory;
  readonly #free = new Map<number, PooledBuffer[]>();

  constructor(factory: BufferFactory) {
    this.#factory = factory;
  }

  /**
   * A buffer of at least `bytes` bytes; its contents are whatever its last user left. `parked`: none yet, as after `park`; it gets
   * one, perhaps another than before, with `unpark`.
   */
  take(bytes: number, label: string, parked = false): PooledAllocation {
    return new PooledAllocation(this, sizeClass(bytes), label, parked);
  }

  /** For PooledAllocation. */
  takeBuffer(bytes: number): PooledBuffer {
    const buffer = this.#free.get(bytes)?.pop() ?? this.#factory.create(bytes);
    this.#factory.counters.liveBytes += buffer.bytes;
    return buffer;
  }

  /** For PooledAllocation. */
  putBack(buffer: PooledBuffer): void {
    this.#factory.counters.liveBytes -= buffer.bytes;
    const list = this.#free.get(buffer.bytes);
    if (list) list.push(buffer);
    else this.#free.set(buffer.bytes, [buffer]);
  }

  /** Gives the free buffers back to the driver. */
  trim(): void {
    for (const buffer of [...this.#free.values()].flat()) this.#factory.destroy(buffer);
    this.#free.clear();
  }
}

/** A tensor's hold on a buffer of a pool. */
export class PooledAllocation implements Allocation {
  readonly label: string;
  readonly #pool: Pool;
  readonly #bytes: number;
  #buffer: PooledBuffer | undefined;
  #freed = false;

  constructor(pool: Pool, bytes: number, label: string, parked: boolean) {
    this.#pool = pool;
    this.#bytes = bytes;
    this.label = label;
    if (!parked) this.unpark();
  }

  get freed(): boolean {
    return this.#freed;
  }

  get parked(): boolean {
    return !this.#freed && this.#buffer === undefined;
  }

  get buffer(): PooledBuffer {
    if (!this.#buffer) throw new LimnError("USE_AFTER_FREE", `${this.label} was used while it had no memory on the GPU`);
    return this.#buffer;
  }

  /** Gives the memory back for a while; what it held is lost. */
  park(): void {
    if (this.#buffer) this.#pool.putBack(this.#buffer);
    this.#buffer = undefined;
  }

  unpark(): void {
    if (!this.#freed) this.#buffer ??= this.#pool.takeBuffer(this.#bytes);
  }

  release(): void {
    this.park();
    this.#freed = true;
  }
}

/** Rounds up to 16 steps per power of two (at most 6.25 % lost), at least 256 bytes. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(bytes)) - 4));
  return Math.ceil(bytes / step) * step;
}
