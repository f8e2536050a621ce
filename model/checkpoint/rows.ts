/** @file A table on the CPU side: token embeddings are looked up row by row, as a full table is larger than a binding may be. */
import { ModelFileError } from "../../engine/index.ts";
import { type ByteSource, MemorySource } from "./byte-source.ts";
import type { WeightFileDType } from "./dtypes.ts";
import { elementsOf, largestMagnitude } from "./permute.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";
import { readValues } from "./values.ts";

/** Bytes read at a time to check a table. */
const maxCheck = 4 * 1024 * 1024;
const infinityBits = 0x7f800000;

/** Rows of a 2-D tensor of a file, read when asked for. */
export class RowReader {
  readonly name: string;
  readonly count: number;
  readonly width: number;
  readonly #file: SafetensorsFile;
  readonly #entry: TensorEntry & { readonly dtype: WeightFileDType };
  readonly #allowNonfinite: boolean;
  #isChecked = false;

  constructor(file: SafetensorsFile, entry: TensorEntry & { readonly dtype: WeightFileDType }, allowNonfinite: boolean) {
    this.name = entry.name;
    this.count = entry.shape[0] ?? 0;
    this.width = entry.shape[1] ?? 0;
    this.#file = file;
    this.#entry = entry;
    this.#allowNonfinite = allowNonfinite;
  }

  /** Looks for NaN and infinity in the whole table. @throws ModelFileError CHECKPOINT_NONFINITE */
  async check(signal?: AbortSignal): Promise<void> {
    if (this.#isChecked || this.#allowNonfinite) return;
    const { begin, end, dtype } = this.#entry;
    const rowBytes = (end - begin) / this.count;
    const rows = Math.max(1, Math.floor(maxCheck / rowBytes));
    const rooms = [0, 1].map(() => new Uint8Array(Math.min(end - begin, rows * rowBytes)));
    const start = (first: number): Promise<Uint8Array> => {
      const at = begin + first * rowBytes;
      const room = rooms[(first / rows) % 2]!;
      const reading = first < this.count ? this.#file.source.read(at, Math.min(end, at + rows * rowBytes), room) : undefined;
      reading?.catch(() => {}); // seen where it is awaited
      return reading ?? Promise.resolve(new Uint8Array());
    };
    let ahead = start(0);
    for (let first = 0; first < this.count; first += rows) {
      signal?.throwIfAborted();
      const bytes = await ahead;
      ahead = start(first + rows);
      if (largestMagnitude(elementsOf(bytes, dtype), dtype) >= infinityBits) {
        await this.read(Array.from({ length: bytes.length / rowBytes }, (_, row) => first + row)); // names the row
      }
    }
    this.#isChecked = true;
  }

  /**
   * Rows `ids` one after the other: [ids.length * width] numbers.
   * @throws RangeError for an id outside the table, ModelFileError CHECKPOINT_NONFINITE
   */
  async read(ids: ArrayLike<number>): Promise<Float32Array> {
    const values = new Float32Array(ids.length * this.width);
    // A prompt repeats its padding: each row is read once.
    const rows = new Map<number, Promise<Float32Array>>();
    for (const id of Array.from(ids)) if (!rows.has(id)) rows.set(id, this.#row(id));
    await Promise.all(rows.values());
    for (let i = 0; i < ids.length; i++) values.set((await rows.get(ids[i] ?? -1)) ?? [], i * this.width);
    return values;
  }

  async #row(id: number): Promise<Float32Array> {
    if (!(Number.isInteger(id) && id >= 0 && id < this.count)) {
      throw new RangeError(`${printable(this.name)}: row ${id} of ${this.count}`);
    }
    const { begin, end, dtype } = this.#entry;
    const bytes = (end - begin) / this.count;
    const source: ByteSource = new MemorySource(await this.#file.source.read(begin + id * bytes, begin + (id + 1) * bytes));
    const row: TensorEntry = { name: this.name, dtype, shape: [this.width], begin: 0, end: bytes };
    const values = await readValues({ ...this.#file, source, tensors: new Map([[this.name, row]]) }, this.name);
    if (!this.#allowNonfinite && !values.every(Number.isFinite)) {
      throw new ModelFileError(
        "CHECKPOINT_NONFINITE",
        `${this.#file.source.name}: "${printable(this.name)}": row ${id} is not finite`,
        {
          hint: "the checkpoint is broken: get another, or load it anyway with --allow-nonfinite",
          context: { file: this.#file.source.name, tensor: printable(this.name), row: id },
        },
      );
    }
    return values;
  }
}
