/**
 * @file Bytes to GPU buffers that are the host's own memory (software adapters). The system clears every fresh page when it is first
 * written to, which takes longer than the writing. So two threads share it: this one, as Dawn writes from the calling thread into a
 * buffer that is not in use; and the queue's, which copies from staging memory that is used again and again.
 */
import type { Device } from "../../engine/index.ts";
import { bufferUsage } from "../../engine/pool.ts";
import { queueWrite } from "./queue-write.ts";

const pieceBytes = 8 * 1024 * 1024;
const maxPieces = 8;
/** Staging memory is fresh at first too: one piece for so many bytes that it will pass on. */
const bytesPerPiece = 4 * pieceBytes;
/** GPUMapMode.WRITE: not every host has WebGPU's globals. */
const mapWrite = 2;

export class StagingWriter {
  readonly #gpu: GPUDevice;
  readonly #count: number;
  readonly #pieces: GPUBuffer[] = [];

  /** @param bytes all that is to be written, about */
  constructor({ gpu }: Device, bytes: number) {
    this.#gpu = gpu;
    this.#count = Math.min(maxPieces, Math.ceil(bytes / bytesPerPiece));
  }

  /**
   * Gives `bytes` to `offset` of a buffer that is not in use; both multiples of 4. They may be overwritten then. The queue gets as much
   * as there is staging memory for that it is done with: the slower it is, the less.
   */
  write(target: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>): void {
    const free = this.#free();
    let at = Math.max(0, bytes.length - free.length * pieceBytes);
    queueWrite(this.#gpu.queue, target, offset, bytes.subarray(0, at));
    for (; at < bytes.length; at += pieceBytes) this.#copy(free.pop()!, target, offset + at, bytes.subarray(at, at + pieceBytes));
  }

  free(): void {
    for (const piece of this.#pieces) piece.destroy();
  }

  /** What the queue has copied from since it was last written to. */
  #free(): GPUBuffer[] {
    try {
      while (this.#pieces.length < this.#count) this.#pieces.push(this.#make());
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      // The host's memory is used up: there are fewer.
    }
    return this.#pieces.filter(({ mapState }) => mapState === "mapped");
  }

  #copy(piece: GPUBuffer, target: GPUBuffer, offset: number, bytes: Uint8Array): void {
    new Uint8Array(piece.getMappedRange(0, bytes.length)).set(bytes);
    piece.unmap();
    const encoder = this.#gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(piece, 0, target, offset, bytes.length);
    this.#gpu.queue.submit([encoder.finish()]);
    piece.mapAsync(mapWrite).catch(() => {}); // a lost device is reported where the load waits for it
  }

  #make(): GPUBuffer {
    return this.#gpu.createBuffer({
      label: "staging of weights",
      size: pieceBytes,
      usage: bufferUsage.MAP_WRITE | bufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
  }
}
