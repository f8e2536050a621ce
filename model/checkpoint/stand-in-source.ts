/** @file A safetensors file that exists only as rules: header and weights are made when they are read. */
import { type ByteSource, checkRange } from "./byte-source.ts";
import type { StandInTensor } from "./stand-in-tensors.ts";
import { fillPairs, type StreamKey, streamKey, valueTable } from "./stand-in-values.ts";

interface Placed {
  readonly tensor: StandInTensor;
  readonly key: StreamKey;
  /** Bytes in the file. */
  readonly begin: number;
  readonly end: number;
}

/** Pairs of elements made at a time: they stay in the cache on their way. */
const chunkPairs = 16_384;

export class StandInSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly tensors: readonly StandInTensor[];
  readonly #header: Uint8Array;
  /** In file order. */
  readonly #placed: readonly Placed[];
  readonly #chunk = new Uint32Array(chunkPairs);

  /** The order is that of the safetensors library: wider dtypes first, then by name. */
  constructor(name: string, tensors: readonly StandInTensor[], seed: number) {
    const order = ({ role }: StandInTensor): number => (role === "positions" ? 0 : 1);
    this.tensors = [...tensors].sort((a, b) => order(a) - order(b) || (a.name < b.name ? -1 : 1));
    this.name = name;
    this.#header = headerOf(this.tensors, name);
    let end = this.#header.length;
    this.#placed = this.tensors.map((tensor) => {
      const begin = end;
      end = begin + bytesOf(tensor);
      return { tensor, key: streamKey(seed, tensor.name), begin, end };
    });
    this.size = end;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    checkRange(this, begin, end);
    const bytes = new Uint8Array(end - begin);
    if (begin < this.#header.length) bytes.set(this.#header.subarray(begin, Math.min(end, this.#header.length)));
    for (let i = this.#firstPast(begin); i < this.#placed.length; i++) {
      const placed = this.#placed[i]!;
      if (placed.begin >= end) break;
      const from = Math.max(begin, placed.begin);
      const to = Math.min(end, placed.end);
      this.#fill(placed, from - placed.begin, bytes.subarray(from - begin, to - begin));
    }
    return bytes;
  }

  /** Index of the first tensor that ends after byte `at`. */
  #firstPast(at: number): number {
    let [low, high] = [0, this.#placed.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#placed[middle]!.end <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Bytes `first`.. of a tensor. */
  #fill({ tensor, key }: Placed, first: number, out: Uint8Array): void {
    if (tensor.role === "positions") {
      const ids = BigInt64Array.from({ length: elementsOf(tensor) }, (_, i) => BigInt(i));
      out.set(new Uint8Array(ids.buffer, first, out.length));
      return;
    }
    const table = valueTable(tensor);
    let skip = first % 4; // a range may begin inside a pair
    let pair = (first - skip) / 4;
    for (let done = 0; done < out.length; ) {
      const bytes = Math.min(out.length - done, 4 * chunkPairs - skip);
      const words = this.#chunk.subarray(0, Math.ceil((skip + bytes) / 4));
      fillPairs(words, pair, key, table);
      out.set(new Uint8Array(words.buffer, skip, bytes), done);
      pair += words.length;
      done += bytes;
      skip = 0;
    }
  }
}

function headerOf(tensors: readonly StandInTensor[], name: string): Uint8Array {
  let end = 0;
  const entries = tensors.map((tensor) => {
    const begin = end;
    end += bytesOf(tensor);
    const dtype = tensor.role === "positions" ? "I64" : "F16";
    return [tensor.name, { dtype, shape: tensor.shape, data_offsets: [begin, end] }] as const;
  });
  const json = JSON.stringify({ __metadata__: { format: "pt", "limn.stand-in": name }, ...Object.fromEntries(entries) });
  const length = Math.ceil(json.length / 8) * 8; // the data begins at a multiple of eight
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(new TextEncoder().encode(json), 8);
  return header;
}

function elementsOf({ shape }: StandInTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

function bytesOf(tensor: StandInTensor): number {
  return elementsOf(tensor) * (tensor.role === "positions" ? 8 : 2);
}
