/** @file Where a checkpoint's bytes come from. The Node file source is in cli/files/file-source.ts: `node:` stays out of here. */

import { FileSystemError } from "../../engine/errors.ts";

/** Bytes that can be read by range: a file, a browser `Blob`, a block of memory. */
export interface ByteSource {
  /** Name for messages (a path, a file name). */
  readonly name: string;
  /** Bytes in all. */
  readonly size: number;
  /**
   * Bytes begin..end-1, exactly that many. The array is the caller's to keep; its `byteOffset` may be odd.
   * @param into memory that the caller offers for them, at least as long; a source may leave it unused
   */
  read(begin: number, end: number, into?: Uint8Array): Promise<Uint8Array>;
  /** False if the bytes may have changed since the source was opened. Absent where they can't change. */
  unchanged?(): Promise<boolean>;
  /** A file of this name beside this one (the shards of an index); closed with this one. Absent where there can't be one. */
  beside?(name: string): Promise<ByteSource>;
  close?(): Promise<void>;
}

/** Throws if begin..end is no range of the source: a bug of the caller, not of the file. */
export function checkRange(source: ByteSource, begin: number, end: number): void {
  if (!(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && begin >= 0 && begin <= end && end <= source.size)) {
    throw new RangeError(`${source.name}: range ${begin}..${end} is not within its ${source.size} bytes`);
  }
}

/** A browser `Blob` or `File`; a file on disk is read by range, never as a whole. Its reads throw FileSystemError FS_READ. */
export class BlobSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #blob: Blob;

  constructor(blob: Blob, name: string) {
    this.#blob = blob;
    this.name = name;
    this.size = blob.size;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    checkRange(this, begin, end);
    const read = this.#blob.slice(begin, end).arrayBuffer();
    const buffer = await read.catch((cause: unknown) => {
      // The file behind it has changed or gone, or may not be read any more.
      throw new FileSystemError("FS_READ", `${this.name}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        hint: "choose the file again",
        context: { file: this.name },
        cause,
      });
    });
    return new Uint8Array(buffer);
  }
}

/** Bytes that are in memory already. */
export class MemorySource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, name = "memory") {
    this.#bytes = bytes;
    this.name = name;
    this.size = bytes.byteLength;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    checkRange(this, begin, end);
    return this.#bytes.slice(begin, end);
  }
}
