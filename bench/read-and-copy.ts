/**
 * @file What loading is measured by: a file read in pieces into one block of memory, and each piece copied once into memory that nobody has
 * touched, as the weights' memory on the GPU is. Fresh memory costs more than the copying: the system clears every page of it.
 */
import type { ByteSource } from "../model/index.ts";

/** Seconds by the clock. */
export interface CopyTimes {
  /** The file's bytes, from the system's cache. */
  readonly read: number;
  /** The same bytes into fresh memory. */
  readonly copy: number;
  /** Bytes copied once more, until that memory is as large as the weights on the GPU: where they are wider there than in the file. */
  readonly widen: number;
}

const piece = 16 * 1024 * 1024;
/** Memory of this size comes from the system, and goes back to it: of smaller blocks malloc keeps some, which are not fresh the next time. */
const blockBytes = 4 * piece;

export async function readAndCopy(source: ByteSource, weightBytes: number): Promise<CopyTimes> {
  const block = new Uint8Array(piece).fill(1); // no page of it is fresh
  const fresh = new FreshMemory();
  let [read, copy] = [0, 0];
  for (let at = 0; at < source.size; at += piece) {
    const begin = performance.now();
    const bytes = await source.read(at, Math.min(source.size, at + piece), block);
    const middle = performance.now();
    fresh.add(bytes);
    read += middle - begin;
    copy += performance.now() - middle;
  }
  const begin = performance.now();
  for (let bytes = source.size; bytes < weightBytes; bytes += piece) fresh.add(block);
  const widen = performance.now() - begin;
  return { read: read / 1000, copy: copy / 1000, widen: widen / 1000 };
}

/** The file's bytes are in the system's cache from here on. */
export async function readOnce(source: ByteSource): Promise<void> {
  const block = new Uint8Array(piece);
  for (let at = 0; at < source.size; at += piece) await source.read(at, Math.min(source.size, at + piece), block);
}

class FreshMemory {
  readonly #blocks: Uint8Array[] = [];
  #used = blockBytes;

  add(bytes: Uint8Array): void {
    if (this.#used + bytes.length > blockBytes) {
      this.#blocks.push(Buffer.allocUnsafeSlow(blockBytes)); // an array of its own would be filled with zeros first
      this.#used = 0;
    }
    this.#blocks.at(-1)!.set(bytes, this.#used);
    this.#used += bytes.length;
  }
}
