/**
 * @file Streams weights: reads a range, checks, converts and permutes it, and leaves it on the GPU. Large matrices are unpacked
 * there, small ones and vectors here. One read runs ahead of the work.
 */
import { bytesPerElement } from "../../engine/dtype.ts";
import { type Device, ModelFileError } from "../../engine/index.ts";
import type { ByteSource } from "./byte-source.ts";
import { GpuUnpacker } from "./gpu-unpacker.ts";
import { LoadMemory } from "./load-memory.ts";
import { type Part, type Piece, planReads, type Read, type Target } from "./load-plan.ts";
import { convert, elementsOf, largestMagnitude, scatter } from "./permute.ts";
import { printable } from "./printable.ts";
import { queueWrite } from "./queue-write.ts";
import { StagingWriter } from "./staging.ts";

export interface LoadProgress {
  /** Bytes of the file read so far, and to read. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** Since loading began. */
  readonly bytesPerSecond: number;
}

export interface LoadOptions {
  readonly onProgress?: (progress: LoadProgress) => void;
  readonly signal?: AbortSignal;
}

export interface LoadResult {
  /** Targets with a magnitude above f16's largest, 65504: not as they should be. */
  readonly overflowed: readonly Target[];
  /** Matrices without a single nonzero element. */
  readonly allZero: readonly Target[];
}

const infinityBits = 0x7f800000;
/** F32 bits of 65504, the largest finite f16. */
const largestHalf = 0x477fe000;
/** Bytes given to the queue before waiting for it, so that its staging memory stays small. */
const maxInFlight = 64 * 1024 * 1024;
/** Targets below this are written as they are: a submit costs more than their pages. */
const leastStaged = 256 * 1024;
/** Bytes read at a time to find an element. */
const maxSearch = 16 * 1024 * 1024;

/** Fills the targets' tensors. @throws ModelFileError CHECKPOINT_NONFINITE */
export async function loadTargets(
  device: Device,
  source: ByteSource,
  targets: readonly Target[],
  options: LoadOptions & { readonly allowNonfinite: boolean },
): Promise<LoadResult> {
  // Writes overtake recorded work, and these tensors' memory may have been another's.
  device.flush();
  // Where infinities are let through, finding the largest finite number beside them is the CPU's.
  const unpacker = new GpuUnpacker(device, options.allowNonfinite ? [] : targets);
  const targetBytes = targets.reduce((sum, { tensor }) => sum + tensor.bytes, 0);
  const staging = device.isSoftware ? new StagingWriter(device, targetBytes) : undefined;
  try {
    const reads = planReads(targets);
    const memory = memoryFor(
      reads,
      targets.filter((target) => !unpacker.has(target)),
    );
    const work = new Loader(device, source, { unpacker, staging, memory }, options.allowNonfinite);
    await stream(source, reads, work, memory, options);
    await work.finish();
    return work;
  } finally {
    unpacker.free();
    staging?.free();
  }
}

function memoryFor(reads: readonly Read[], targets: readonly Target[]): LoadMemory {
  const most = (values: readonly number[]): number => values.reduce((longest, value) => Math.max(longest, value), 0);
  return new LoadMemory({
    read: most(reads.map(({ begin, end }) => end - begin)),
    target: most(targets.map(({ dtype, layout }) => layout.size * bytesPerElement[dtype])),
    inner: most(targets.map(({ layout }) => layout.inner)),
  });
}

async function stream(
  source: ByteSource,
  reads: readonly Read[],
  work: Loader,
  memory: LoadMemory,
  options: LoadOptions,
): Promise<void> {
  const totalBytes = reads.reduce((sum, read) => sum + read.end - read.begin, 0);
  const started = performance.now();
  let bytes = 0;
  let ahead = start(source, reads[0], memory.room(0));
  for (const [index, read] of reads.entries()) {
    options.signal?.throwIfAborted();
    const data = memory.keep(index, await ahead);
    ahead = start(source, reads[index + 1], memory.room(index + 1));
    work.takeAll(read, data);
    await work.drain();
    bytes += read.end - read.begin;
    const seconds = Math.max(performance.now() - started, 1) / 1000;
    options.onProgress?.({ bytes, totalBytes, bytesPerSecond: bytes / seconds });
  }
}

/** A read under way; its failure is seen where it is awaited, not as an unhandled rejection. */
function start(source: ByteSource, read: Read | undefined, into: Uint8Array): Promise<Uint8Array> {
  const data = read === undefined ? Promise.resolve(new Uint8Array()) : source.read(read.begin, read.end, into);
  data.catch(() => {});
  return data;
}

/** How weights get to the GPU. */
interface Ways {
  readonly unpacker: GpuUnpacker;
  /** For what is unpacked here; undefined: the queue writes. */
  readonly staging: StagingWriter | undefined;
  readonly memory: LoadMemory;
}

class Loader implements LoadResult {
  readonly overflowed: Target[] = [];
  readonly allZero: Target[] = [];
  readonly #device: Device;
  readonly #source: ByteSource;
  readonly #unpacker: GpuUnpacker;
  readonly #staging: StagingWriter | undefined;
  readonly #memory: LoadMemory;
  readonly #allowNonfinite: boolean;
  #converted = new ArrayBuffer(0);
  #largest = 0;
  #inFlight = 0;

  constructor(device: Device, source: ByteSource, { unpacker, staging, memory }: Ways, allowNonfinite: boolean) {
    this.#device = device;
    this.#source = source;
    this.#unpacker = unpacker;
    this.#staging = staging;
    this.#memory = memory;
    this.#allowNonfinite = allowNonfinite;
  }

  takeAll(read: Read, data: Uint8Array): void {
    this.#inFlight += this.#unpacker.take(read, data);
    for (const piece of read.pieces) {
      if (!this.#unpacker.has(piece.target)) this.#take(piece, data.subarray(piece.begin - read.begin, piece.end - read.begin));
    }
  }

  /** Waits for the queue once enough has been given to it. */
  async drain(): Promise<void> {
    if (this.#inFlight < maxInFlight) return;
    this.#inFlight = 0;
    await this.#device.idle();
  }

  /** Waits for the rest, and looks at what the GPU saw. */
  async finish(): Promise<void> {
    await this.#device.idle();
    for (const [target, largest] of await this.#unpacker.largest()) {
      if (largest >= infinityBits) await this.#findNonfinite(target);
      if (largest > largestHalf && target.dtype === "f16") this.overflowed.push(target);
      if (largest === 0) this.allZero.push(target);
    }
  }

  /** Puts one piece in its place; with the last of a target, the target goes to the GPU. */
  #take(piece: Piece, bytes: Uint8Array): void {
    const { target, part } = piece;
    if (piece.isFirst) this.#largest = 0;
    const permuted = this.#memory.target(target.dtype, target.layout.size);
    if (piece.isFirst && target.layout.padded) permuted.fill(0);
    const largest = this.#place(piece, bytes, permuted);
    this.#largest = Math.max(this.#largest, largest);
    if (largest >= infinityBits && !this.#allowNonfinite) this.#refuse(part, bytes, piece.firstOutput * target.layout.inner);
    const overflows = target.dtype === "f16" && this.#hasOverflow(bytes, part, largest);
    if (overflows && !this.overflowed.includes(target)) this.overflowed.push(target);
    if (piece.isLast && !this.overflowed.includes(target)) this.#write(target, permuted);
  }

  /** Converts and permutes; gives the F32 bits of the largest magnitude (of F16, as largestMagnitude does). */
  #place({ target, part, firstOutput }: Piece, bytes: Uint8Array, permuted: Uint16Array | Uint32Array): number {
    const first = part.column + firstOutput;
    const { simd } = this.#memory;
    if (part.dtype === "F16" && simd?.suits(bytes, target.layout)) {
      const largest = simd.scatter(bytes, permuted, target.layout, first);
      if (largest < infinityBits || target.dtype === "f16") return largest;
    }
    const source = elementsOf(bytes, part.dtype);
    if (this.#converted.byteLength < source.length * 4) this.#converted = new ArrayBuffer(source.length * 4);
    scatter(convert(source, part.dtype, target.dtype, this.#converted, part.scale), permuted, target.layout, first);
    return largestMagnitude(source, part.dtype, part.scale);
  }

  #write(target: Target, { buffer: memory, byteOffset, byteLength }: Uint16Array | Uint32Array): void {
    if (this.#largest === 0 && target.isMatrix) this.allZero.push(target);
    const { buffer, offset } = target.tensor;
    const bytes = new Uint8Array(memory as ArrayBuffer, byteOffset, byteLength);
    if (this.#staging && byteLength >= leastStaged) {
      this.#staging.write(buffer.gpu, offset, bytes);
      return;
    }
    queueWrite(this.#device.gpu.queue, buffer.gpu, offset, bytes);
    this.#inFlight += byteLength;
  }

  /** Finite values above f16's range; infinities that are allowed stay infinities. */
  #hasOverflow(bytes: Uint8Array, part: Part, largest: number): boolean {
    if (largest <= largestHalf || part.dtype === "F16") return false;
    if (largest < infinityBits) return true;
    const source = elementsOf(bytes, part.dtype);
    const single = convert(source, part.dtype, "f32", new ArrayBuffer(source.length * 4), part.scale);
    return single.some((bits: number) => {
      const magnitude = bits & 0x7fffffff;
      return magnitude > largestHalf && magnitude < infinityBits;
    });
  }

  /** Reads a target again for the element that the GPU only knows to be there. */
  async #findNonfinite({ parts }: Target): Promise<void> {
    for (const part of parts) {
      const { begin, end } = part.entry;
      for (let at = begin; at < end; at += maxSearch) {
        const bytes = await this.#source.read(at, Math.min(end, at + maxSearch));
        const source = elementsOf(bytes, part.dtype);
        if (largestMagnitude(source, part.dtype, part.scale) < infinityBits) continue;
        this.#refuse(part, bytes, (at - begin) / source.BYTES_PER_ELEMENT);
      }
    }
  }

  #refuse(part: Part, bytes: Uint8Array, first: number): never {
    const source = elementsOf(bytes, part.dtype);
    const single = convert(source, part.dtype, "f32", new ArrayBuffer(source.length * 4), part.scale);
    const index = single.findIndex((bits: number) => (bits & 0x7fffffff) >= infinityBits);
    const what = ((single[index] ?? 0) & 0x7fffffff) === infinityBits ? "infinite" : "NaN";
    const name = printable(part.entry.name);
    const element = first + index;
    throw new ModelFileError("CHECKPOINT_NONFINITE", `${this.#source.name}: tensor "${name}": element ${element} is ${what}`, {
      hint: "the checkpoint is broken (a failed training or merge): get another, or load it anyway with --allow-nonfinite",
      context: { file: this.#source.name, tensor: name, element },
    });
  }
}
