/**
 * @file GPU memory. A pool hands out storage buffers by size class and takes them back at once when a tensor dies: the queue
 * runs commands in order, so a buffer that an earlier command still reads may already be given to a later one.
 */
import { OutOfMemoryError } from "./errors.ts";

/** One storage buffer that lives in a pool. `id` names it in bind-group keys. */
export interface PooledBuffer {
  readonly gpu: GPUBuffer;
  readonly bytes: number;
  readonly id: number;
}

/** A tensor's hold on a buffer, from `take` to `release`; views (reshape) share it. */
export interface Allocation {
  readonly buffer: PooledBuffer;
  readonly pool: Pool;
  /** For messages: what the memory was taken for. */
  readonly label: string;
  freed: boolean;
}

/** Counters that all pools of a device share, in bytes. */
export interface MemoryCounters {
  /** Held by tensors now. */
  liveBytes: number;
  /** All storage buffers that exist, held or free. */
  totalBytes: number;
  /** Highest `totalBytes` so far. */
  peakBytes: number;
}

let nextId = 1;

export class Pool {
  readonly #device: GPUDevice;
  readonly #counters: MemoryCounters;
  readonly #free = new Map<number, PooledBuffer[]>();
  readonly #onDestroy: (buffer: PooledBuffer) => void;

  constructor(device: GPUDevice, counters: MemoryCounters, onDestroy: (buffer: PooledBuffer) => void) {
    this.#device = device;
    this.#counters = counters;
    this.#onDestroy = onDestroy;
  }

  /** A buffer of at least `bytes` bytes; its contents are whatever its last user left. */
  take(bytes: number, label: string): Allocation {
    const size = sizeClass(bytes);
    if (size > this.#device.limits.maxBufferSize) {
      throw new OutOfMemoryError(
        "GPU_BUFFER_TOO_LARGE",
        `${label}: ${bytes} bytes are more than one buffer may have here (${this.#device.limits.maxBufferSize})`,
        {
          hint: "make a smaller picture or a smaller batch",
          context: { bytes, limit: this.#device.limits.maxBufferSize },
        },
      );
    }
    const buffer = this.#free.get(size)?.pop() ?? this.#create(size);
    this.#counters.liveBytes += buffer.bytes;
    return { buffer, pool: this, label, freed: false };
  }

  release(allocation: Allocation): void {
    if (allocation.freed) return;
    allocation.freed = true;
    this.#counters.liveBytes -= allocation.buffer.bytes;
    const list = this.#free.get(allocation.buffer.bytes);
    if (list) list.push(allocation.buffer);
    else this.#free.set(allocation.buffer.bytes, [allocation.buffer]);
  }

  /** Gives the free buffers back to the driver. */
  trim(): void {
    for (const list of this.#free.values()) {
      for (const buffer of list) {
        this.#counters.totalBytes -= buffer.bytes;
        this.#onDestroy(buffer);
        buffer.gpu.destroy();
      }
    }
    this.#free.clear();
  }

  #create(bytes: number): PooledBuffer {
    const usage = GPUBufferUsageBits.STORAGE | GPUBufferUsageBits.COPY_SRC | GPUBufferUsageBits.COPY_DST;
    const gpu = this.#device.createBuffer({ size: bytes, usage });
    this.#counters.totalBytes += bytes;
    this.#counters.peakBytes = Math.max(this.#counters.peakBytes, this.#counters.totalBytes);
    return { gpu, bytes, id: nextId++ };
  }
}

/** WebGPU's buffer usage bits: numbers of the specification, so that no global of a host environment is needed. */
export const GPUBufferUsageBits = {
  MAP_READ: 1,
  COPY_SRC: 4,
  COPY_DST: 8,
  UNIFORM: 64,
  STORAGE: 128,
  QUERY_RESOLVE: 512,
} as const;

/** Rounds up to 16 steps per power of two (at most 6.25 % lost), at least 256 bytes. */
export function sizeClass(bytes: number): number {
  if (bytes <= 256) return 256;
  const step = Math.max(256, 2 ** (Math.floor(Math.log2(bytes)) - 4));
  return Math.ceil(bytes / step) * step;
}
