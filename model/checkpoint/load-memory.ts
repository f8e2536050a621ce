/** @file The host's memory for loading: two blocks to read into by turns, and one for a weight on its way from the file's layout to the device's. */
import { SimdPermuter } from "./permute-simd.ts";

/** Bytes, and the longest `inner` of a layout. */
export interface LoadSizes {
  readonly read: number;
  readonly target: number;
  readonly inner: number;
}

export class LoadMemory {
  /** Permutes what lies in this memory; undefined where that is left to JavaScript. */
  readonly simd: SimdPermuter | undefined;
  readonly #buffer: ArrayBuffer;
  readonly #readBytes: number;

  constructor({ read, target, inner }: LoadSizes) {
    this.#readBytes = Math.ceil(read / 16) * 16;
    const bytes = 2 * this.#readBytes + target;
    this.simd = SimdPermuter.create(bytes, inner);
    this.#buffer = this.simd?.memory ?? new ArrayBuffer(bytes);
  }

  /** For the `index`-th read: the one before it may still be in use. */
  room(index: number): Uint8Array {
    return new Uint8Array(this.#buffer, (index % 2) * this.#readBytes, this.#readBytes);
  }

  /** What was read, in `room(index)`: not every source reads into memory that it is offered. */
  keep(index: number, data: Uint8Array): Uint8Array {
    const room = this.room(index);
    if (data.buffer === this.#buffer) return data;
    room.set(data);
    return room.subarray(0, data.length);
  }

  /** Room for the elements of a target. */
  target(dtype: "f16" | "f32", size: number): Uint16Array | Uint32Array {
    const begin = 2 * this.#readBytes;
    return dtype === "f16" ? new Uint16Array(this.#buffer, begin, size) : new Uint32Array(this.#buffer, begin, size);
  }
}
