import type { ByteReader } from "./bytes.ts";
import { damaged, refuse } from "./failure.ts";
import type { PickleValue } from "./objects.ts";

/** SDXL with all its optimizer's state stays below a tenth of these. */
export const limits = { opcodes: 10_000_000, stack: 1_000_000, memo: 4_000_000, copied: 1_000_000, integerBytes: 1024 } as const;

class Mark {}
const mark = new Mark();

/** What the pickle machine works on: a stack of values and marks, and the values it was told to remember. */
export class PickleStack {
  readonly #reader: ByteReader;
  readonly #file: string;
  readonly #values: (PickleValue | Mark)[] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(reader: ByteReader, file: string) {
    this.#reader = reader;
    this.#file = file;
  }

  push(value: PickleValue | Mark): true {
    if (this.#values.length >= limits.stack) {
      refuse("PICKLE_TOO_LARGE", this.#file, `a pickle more than ${limits.stack} values deep`, damaged);
    }
    this.#values.push(value);
    return true;
  }

  mark(): true {
    return this.push(mark);
  }

  /** Takes the last value or mark away. */
  drop(): void {
    if (this.#values.pop() === undefined) this.#underflow();
  }

  pop(): PickleValue {
    const value = this.#values.pop();
    return value === undefined || value instanceof Mark ? this.#underflow() : value;
  }

  top(): PickleValue {
    const value = this.#values.at(-1);
    return value === undefined || value instanceof Mark ? this.#underflow() : value;
  }

  /** The last `count`, oldest first. */
  popMany(count: number): PickleValue[] {
    const values: PickleValue[] = [];
    for (let i = 0; i < count; i++) values.push(this.pop());
    return values.reverse();
  }

  /** What was pushed since the last mark, and the mark. */
  popMark(): PickleValue[] {
    const values: PickleValue[] = [];
    for (let value = this.#values.pop(); value !== mark; value = this.#values.pop()) {
      if (value === undefined || value instanceof Mark) return this.#underflow();
      values.push(value);
    }
    return values.reverse();
  }

  /** Under the next free number unless one is given. */
  remember(index = this.#memo.size): true {
    if (this.#memo.size >= limits.memo)
      refuse("PICKLE_TOO_LARGE", this.#file, `a pickle that remembers more than ${limits.memo} values`, damaged);
    this.#memo.set(index, this.top());
    return true;
  }

  recall(index: number): true {
    const value = this.#memo.get(index);
    return value === undefined
      ? refuse("PICKLE_FORMAT", this.#file, `pickle: it asks for value ${index}, which it never gave`, damaged)
      : this.push(value);
  }

  #underflow(): never {
    return refuse("PICKLE_FORMAT", this.#file, `pickle, byte ${this.#reader.at}: it takes a value where there is none`, damaged, {
      byte: this.#reader.at,
    });
  }
}
