/** @file Streams weights: read a range, check and convert, permute, write to the GPU. One read runs ahead of the work. */
import { type Device, ModelFileError } from "../../engine/index.ts";
import type { ByteSource } from "./byte-source.ts";
import { type Piece, planReads, type Read, type Target } from "./load-plan.ts";
import { as16, as32, halfBits } from "./numbers.ts";
import { type Bits, convert, largestMagnitude, scatter } from "./permute.ts";
import { printable } from "./printable.ts";

export interface LoadProgress {
  /** Bytes of the file read so far, and to read. */
  readonly bytes: number;
  readonly totalBytes: number;
}

export interface LoadOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

export interface LoadResult {
  /** Targets with a magnitude above f16's largest, 65504: not written. */
  readonly overflowed: readonly Target[];
  /** Matrices without a single nonzero element. */
  readonly allZero: readonly Target[];
}

const infinityBits = 0x7f800000;
/** F32 bits of 65504, the largest finite f16. */
const largestHalf = 0x477fe000;
/** Bytes given to the queue before waiting for it, so that its staging memory stays small. */
const maxInFlight = 64 * 1024 * 1024;
const maxWrite = 16 * 1024 * 1024;

/** Fills the targets' tensors. @throws ModelFileError CHECKPOINT_NONFINITE */
export async function loadTargets(
  device: Device,
  source: ByteSource,
  targets: readonly Target[],
  options: LoadOptions & { readonly allowNonfinite: boolean },
): Promise<LoadResult> {
  // Writes overtake recorded work, and these tensors' memory may have been another's.
  device.flush();
  const work = new Loader(device, source, options.allowNonfinite);
  const reads = planReads(targets);
  const totalBytes = reads.reduce((sum, read) => sum + read.end - read.begin, 0);
  let bytes = 0;
  let ahead = start(source, reads[0]);
  for (const [index, read] of reads.entries()) {
    options.signal?.throwIfAborted();
    const data = await ahead;
    ahead = start(source, reads[index + 1]);
    for (const piece of read.pieces) work.take(piece, data.subarray(piece.begin - read.begin, piece.end - read.begin));
    await work.drain();
    bytes += read.end - read.begin;
    options.onProgress?.({ bytes, totalBytes });
  }
  await device.idle();
  return work;
}

/** A read under way; its failure is seen where it is awaited, not as an unhandled rejection. */
function start(source: ByteSource, read: Read | undefined): Promise<Uint8Array> {
  const data = read === undefined ? Promise.resolve(new Uint8Array()) : source.read(read.begin, read.end);
  data.catch(() => {});
  return data;
}

class Loader implements LoadResult {
  readonly overflowed: Target[] = [];
  readonly allZero: Target[] = [];
  readonly #device: Device;
  readonly #source: ByteSource;
  readonly #allowNonfinite: boolean;
  readonly #halfTable = halfBits();
  #converted = new ArrayBuffer(0);
  #permuted = new ArrayBuffer(0);
  #largest = 0;
  #inFlight = 0;

  constructor(device: Device, source: ByteSource, allowNonfinite: boolean) {
    this.#device = device;
    this.#source = source;
    this.#allowNonfinite = allowNonfinite;
  }

  /** Puts one piece in its place; with the last of a target, the target goes to the GPU. */
  take(piece: Piece, bytes: Uint8Array): void {
    const { target, part } = piece;
    if (piece.isFirst) this.#largest = 0;
    const source = part.dtype === "F32" ? as32(bytes) : as16(bytes);
    const largest = largestMagnitude(source, part.dtype);
    this.#largest = Math.max(this.#largest, largest);
    if (largest >= infinityBits && !this.#allowNonfinite) this.#refuse(piece, source);
    const overflows = target.dtype === "f16" && part.dtype !== "F16" && this.#hasOverflow(source, part.dtype, largest);
    if (overflows && !this.overflowed.includes(target)) this.overflowed.push(target);
    const permuted = this.#targetBits(target, piece.isFirst && target.layout.padded);
    const changes = target.dtype === "f16" ? part.dtype !== "F16" : part.dtype !== "F32";
    if (changes && this.#converted.byteLength < source.length * 4) this.#converted = new ArrayBuffer(source.length * 4);
    const converted = convert(source, part.dtype, target.dtype, this.#halfTable, this.#converted);
    scatter(converted, permuted, target.layout, part.column + piece.firstOutput);
    if (piece.isLast && !this.overflowed.includes(target)) this.#finish(target, permuted);
  }

  /** Waits for the queue once enough has been given to it. */
  async drain(): Promise<void> {
    if (this.#inFlight < maxInFlight) return;
    this.#inFlight = 0;
    await this.#device.idle();
  }

  #finish(target: Target, permuted: Bits): void {
    if (this.#largest === 0 && target.isMatrix) this.allZero.push(target);
    const bytes = permuted.byteLength;
    for (let at = 0; at < bytes; at += maxWrite) {
      const size = Math.min(maxWrite, bytes - at);
      const { buffer, offset } = target.tensor;
      this.#device.gpu.queue.writeBuffer(buffer.gpu, offset + at, this.#permuted, at, size);
    }
    this.#inFlight += bytes;
  }

  /** Room for the whole target, zeroed where it has padding. */
  #targetBits(target: Target, clear: boolean): Bits {
    const { size } = target.layout;
    const bytes = size * (target.dtype === "f16" ? 2 : 4);
    if (this.#permuted.byteLength < bytes) this.#permuted = new ArrayBuffer(bytes);
    const bits = target.dtype === "f16" ? new Uint16Array(this.#permuted, 0, size) : new Uint32Array(this.#permuted, 0, size);
    if (clear) bits.fill(0);
    return bits;
  }

  /** Finite values above f16's range; infinities that are allowed stay infinities. */
  #hasOverflow(source: Bits, dtype: "F32" | "BF16" | "F16", largest: number): boolean {
    if (largest <= largestHalf) return false;
    if (largest < infinityBits) return true;
    const shift = dtype === "BF16" ? 16 : 0;
    return source.some((bits: number) => {
      const magnitude = (bits << shift) & 0x7fffffff;
      return magnitude > largestHalf && magnitude < infinityBits;
    });
  }

  #refuse(piece: Piece, source: Bits): never {
    const [infinity, mask] = { F32: [infinityBits, 0x7fffffff], F16: [0x7c00, 0x7fff], BF16: [0x7f80, 0x7fff] }[piece.part.dtype];
    const index = source.findIndex((bits: number) => (bits & mask!) >= infinity!);
    const what = ((source[index] ?? 0) & mask!) === infinity ? "infinite" : "NaN";
    const name = printable(piece.part.entry.name);
    const element = piece.firstOutput * piece.target.layout.inner + index;
    throw new ModelFileError("CHECKPOINT_NONFINITE", `${this.#source.name}: tensor "${name}": element ${element} is ${what}`, {
      hint: "the checkpoint is broken (a failed training or merge): get another, or load it anyway with --allow-nonfinite",
      context: { file: this.#source.name, tensor: name, element },
    });
  }
}
