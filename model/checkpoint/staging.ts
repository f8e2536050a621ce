/**
 * @file Bytes to GPU buffers that are the host's own memory (software adapters). Dawn would write into them from the calling thread, which
 * then pays for every fresh page; through staging memory that is used again and again, the queue's thread copies while this one goes on.
 */
import type { Device } from "../../engine/index.ts";

const pieceBytes = 8 * 1024 * 1024;
const pieces = 4;

interface Piece {
  readonly buffer: GPUBuffer;
  /** Until the queue has copied what was in it last. */
  mapped: Promise<void>;
}

export class StagingWriter {
  readonly #gpu: GPUDevice;
  readonly #pieces: Piece[] = [];
  #next = 0;

  constructor({ gpu }: Device) {
    this.#gpu = gpu;
  }

  /**
   * Gives `size` bytes of `data`, from its start, to `offset` of the buffer; both multiples of 4. `data` may be used again then.
   * False where the staging memory can't be had: the caller writes in another way.
   */
  async write(target: GPUBuffer, offset: number, data: ArrayBuffer, size: number): Promise<boolean> {
    for (let at = 0; at < size; at += pieceBytes) {
      const bytes = Math.min(pieceBytes, size - at);
      const piece = this.#take();
      const room = piece && (await mappedRange(piece, bytes));
      if (!piece || !room) return false;
      new Uint8Array(room).set(new Uint8Array(data, at, bytes));
      piece.buffer.unmap();
      const encoder = this.#gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(piece.buffer, 0, target, offset + at, bytes);
      this.#gpu.queue.submit([encoder.finish()]);
      piece.mapped = piece.buffer.mapAsync(GPUMapMode.WRITE);
      piece.mapped.catch(() => {}); // seen when it is its turn again
    }
    return true;
  }

  free(): void {
    for (const { buffer } of this.#pieces) buffer.destroy();
  }

  #take(): Piece | undefined {
    const index = this.#next;
    this.#next = (index + 1) % pieces;
    try {
      this.#pieces[index] ??= { buffer: this.#make(), mapped: Promise.resolve() };
    } catch {
      return undefined; // the host's memory is used up
    }
    return this.#pieces[index];
  }

  #make(): GPUBuffer {
    return this.#gpu.createBuffer({
      label: "staging of weights",
      size: pieceBytes,
      usage: GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
      mappedAtCreation: true,
    });
  }
}

/** Undefined where there was no memory for the piece, or the device is lost: both are reported where the load waits for the GPU. */
async function mappedRange({ buffer, mapped }: Piece, bytes: number): Promise<ArrayBuffer | undefined> {
  try {
    await mapped;
    return buffer.getMappedRange(0, bytes);
  } catch {
    return undefined;
  }
}
