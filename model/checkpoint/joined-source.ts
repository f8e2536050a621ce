import { type ByteSource, checkRange } from "./byte-source.ts";
import type { SafetensorsFile, TensorEntry } from "./safetensors.ts";

/** Several sources end to end, so that a model in many files reads like one in a single file. */
export class JoinedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #parts: readonly ByteSource[];
  /** Where each part begins, and the end of the last. */
  readonly #bounds: readonly number[];

  constructor(name: string, parts: readonly ByteSource[]) {
    this.name = name;
    this.#parts = parts;
    const bounds = [0];
    for (const part of parts) bounds.push(bounds.at(-1)! + part.size);
    this.#bounds = bounds;
    this.size = bounds.at(-1)!;
  }

  /** Where part `index` begins. */
  begin(index: number): number {
    return this.#bounds[index]!;
  }

  /** A range may cross from one part into the next. */
  async read(begin: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(this, begin, end);
    const pieces = this.#parts.flatMap((part, index) => {
      const [from, to] = [Math.max(begin, this.#bounds[index]!), Math.min(end, this.#bounds[index + 1]!)];
      return from < to ? [{ part, from: from - this.#bounds[index]!, to: to - this.#bounds[index]! }] : [];
    });
    const [only] = pieces;
    if (only && pieces.length === 1) return only.part.read(only.from, only.to, into);
    const bytes = new Uint8Array(end - begin);
    let at = 0;
    for (const { part, from, to } of pieces) {
      bytes.set(await part.read(from, to), at);
      at += to - from;
    }
    return bytes;
  }

  async unchanged(): Promise<boolean> {
    const answers = await Promise.all(this.#parts.map((part) => part.unchanged?.() ?? true));
    return answers.every(Boolean);
  }

  async close(): Promise<void> {
    for (const part of this.#parts) await part.close?.();
  }
}

/** The same tensor where its file begins at `offset` of a joined source, under the name that the model knows it by. */
export function moved(entry: TensorEntry, offset: number, name = entry.name): TensorEntry {
  return { ...entry, name, begin: entry.begin + offset, end: entry.end + offset };
}

/** A file with its tensors under other names: the same bytes. Where two would get one name, the first keeps it. */
export function renamed(file: SafetensorsFile, rename: (name: string) => string): SafetensorsFile {
  const tensors = new Map<string, TensorEntry>();
  for (const [name, entry] of file.tensors) {
    const to = rename(name);
    tensors.set(tensors.has(to) ? name : to, moved(entry, 0, to));
  }
  return { ...file, tensors };
}
