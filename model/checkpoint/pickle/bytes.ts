import { again, refuse } from "./failure.ts";

/** Lone surrogates become U+FFFD. */
export const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** Thrown where the bytes at hand end before the pickle does; the caller may have more of them. */
export class OutOfBytes extends Error {}

/** A cursor over bytes that are in memory. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  at: number;

  constructor(bytes: Uint8Array, file: string, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
    this.at = at;
  }

  byte(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  /** A length of 64 bits. */
  u64(): number {
    const value = Number(this.#view.getBigUint64(this.#take(8), true));
    if (!Number.isSafeInteger(value)) refuse("PICKLE_FORMAT", this.#file, `byte ${this.at - 8}: a length of ${value}`, again);
    return value;
  }

  /** Big-endian, unlike everything else in a pickle. */
  f64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  take(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  text(length: number): string {
    return utf8.decode(this.take(length));
  }

  /** Up to a newline, without it. */
  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end < 0 || end - this.at > 4096) {
      if (this.#bytes.length - this.at > 4096) refuse("PICKLE_FORMAT", this.#file, `byte ${this.at}: a name without end`, again);
      throw new OutOfBytes();
    }
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** Little-endian two's complement of `length` bytes. */
  integer(length: number): number | bigint {
    const bytes = this.take(length);
    let value = 0n;
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i]!);
    if (length > 0 && (bytes[length - 1]! & 0x80) !== 0) value -= 1n << BigInt(8 * length);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #take(length: number): number {
    const at = this.at;
    if (length > this.#bytes.length - at) throw new OutOfBytes();
    this.at += length;
    return at;
  }
}
