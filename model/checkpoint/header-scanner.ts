/**
 * @file The JSON of a safetensors header, scanned by hand. `JSON.parse` keeps the last of two equal keys, rounds large
 * integers, takes `1.0` for 1 and nests without end; a header may do none of these. One pass, linear in its length.
 */
import { ModelFileError } from "../../engine/errors.ts";
import { printable } from "./printable.ts";

/** One entry as written, not yet checked against its neighbours and the file. */
export interface RawEntry {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  /** data_offsets: bytes from the start of the data. */
  readonly begin: number;
  readonly end: number;
}

export interface RawHeader {
  readonly metadata: Map<string, string>;
  readonly entries: Map<string, RawEntry>;
}

export const maxTensors = 65_536;
const maxDepth = 8;
const maxRank = 64;

const quoteCode = 0x22;
const backslash = 0x5c;
const escapes: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/**
 * Scans the text of a header.
 * @param file name for messages
 * @throws ModelFileError ST_HEADER_JSON, ST_DUPLICATE, ST_DTYPE, ST_SHAPE, ST_OFFSETS, ST_TOO_MANY_TENSORS, ST_DEPTH
 */
export function scanHeader(text: string, file: string): RawHeader {
  return new HeaderScanner(text, file).header();
}

class HeaderScanner {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  header(): RawHeader {
    const entries = new Map<string, RawEntry>();
    const found: { metadata?: Map<string, string> } = {};
    this.#object(1, (key) => {
      if (key === "__metadata__") {
        if (found.metadata !== undefined) this.#duplicate(key);
        found.metadata = this.#metadata();
        return;
      }
      if (entries.has(key)) this.#duplicate(key);
      if (entries.size === maxTensors) {
        this.#fail("ST_TOO_MANY_TENSORS", `more than ${maxTensors} tensors`);
      }
      entries.set(key, this.#entry(key));
    });
    this.#space();
    if (this.#at < this.#text.length) this.#fail("ST_HEADER_JSON", `${this.#here()} after the closing brace`);
    return { metadata: found.metadata ?? new Map(), entries };
  }

  #metadata(): Map<string, string> {
    const metadata = new Map<string, string>();
    if (this.#literal("null")) return metadata;
    this.#object(2, (key) => {
      if (metadata.has(key)) this.#duplicate(key);
      if (this.#peek() !== '"') this.#fail("ST_HEADER_JSON", `metadata "${printable(key)}" is not a string`);
      metadata.set(key, this.#string());
    });
    return metadata;
  }

  #entry(name: string): RawEntry {
    const found: { dtype?: string; shape?: number[]; offsets?: number[] } = {};
    const label = (): string => `tensor "${printable(name)}"`;
    this.#object(2, (key) => {
      if (key === "dtype") {
        if (found.dtype !== undefined) this.#duplicate(key);
        if (this.#peek() !== '"') this.#fail("ST_DTYPE", `${label()}: dtype is not a string`);
        found.dtype = this.#string();
      } else if (key === "shape") {
        if (found.shape !== undefined) this.#duplicate(key);
        found.shape = this.#integers("ST_SHAPE", () => `${label()}: shape`, maxRank);
      } else if (key === "data_offsets") {
        if (found.offsets !== undefined) this.#duplicate(key);
        found.offsets = this.#integers("ST_OFFSETS", () => `${label()}: data_offsets`, 2);
      } else {
        this.#skip(3);
      }
    });
    const { dtype, shape, offsets } = found;
    if (dtype === undefined) this.#fail("ST_DTYPE", `${label()} has no dtype`);
    if (shape === undefined) this.#fail("ST_SHAPE", `${label()} has no shape`);
    const [begin, end] = offsets ?? [];
    if (begin === undefined || end === undefined) this.#fail("ST_OFFSETS", `${label()} needs two data_offsets`);
    return { name, dtype, shape, begin, end };
  }

  /** An array of unsigned integers, written as integers, below 2^53. */
  #integers(code: string, what: () => string, most: number): number[] {
    if (this.#peek() !== "[") this.#fail(code, `${what()} is not a list of whole numbers`);
    this.#at++;
    const values: number[] = [];
    if (this.#peek() === "]") {
      this.#at++;
      return values;
    }
    for (;;) {
      if (values.length === most) this.#fail(code, `${what()} has more than ${most} numbers`);
      this.#space();
      const written = this.#digits();
      const value = Number(written);
      if (written === "" || (written.length > 1 && written.startsWith("0"))) {
        this.#fail(code, `${what()}: ${this.#here()} where a whole number should be`);
      }
      if (!Number.isSafeInteger(value)) this.#fail(code, `${what()}: ${printable(written, 40)} is above 2^53 - 1`);
      values.push(value);
      const next = this.#peek();
      if (next !== "," && next !== "]") this.#fail(code, `${what()}: ${this.#here()} where a whole number should end`);
      this.#at++;
      if (next === "]") return values;
    }
  }

  #digits(): string {
    const start = this.#at;
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (!(code >= 0x30 && code <= 0x39)) return this.#text.slice(start, this.#at);
      this.#at++;
    }
  }

  /** `{ "key": value, ... }`; `value` reads what follows the colon. */
  #object(depth: number, value: (key: string) => void): void {
    if (depth > maxDepth) this.#fail("ST_DEPTH", `nested more than ${maxDepth} deep`);
    this.#expect("{");
    if (this.#peek() === "}") {
      this.#at++;
      return;
    }
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') this.#fail("ST_HEADER_JSON", `${this.#here()} where a name should begin`);
      const key = this.#string();
      this.#expect(":");
      this.#space();
      value(key);
      if (this.#peek() === "}") {
        this.#at++;
        return;
      }
      this.#expect(",");
    }
  }

  /** Any JSON value, checked and dropped: unknown fields are allowed. */
  #skip(depth: number): void {
    const next = this.#peek();
    if (next === '"') {
      this.#string();
    } else if (next === "{") {
      this.#object(depth, () => this.#skip(depth + 1));
    } else if (next === "[") {
      if (depth > maxDepth) this.#fail("ST_DEPTH", `nested more than ${maxDepth} deep`);
      this.#at++;
      if (this.#peek() === "]") {
        this.#at++;
        return;
      }
      for (;;) {
        this.#skip(depth + 1);
        if (this.#peek() === "]") {
          this.#at++;
          return;
        }
        this.#expect(",");
      }
    } else if (!(this.#literal("true") || this.#literal("false") || this.#literal("null"))) {
      const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
      number.lastIndex = this.#at;
      const written = number.exec(this.#text)?.[0];
      if (written === undefined) this.#fail("ST_HEADER_JSON", `${this.#here()} where a value should be`);
      this.#at += written.length;
    }
  }

  /** A string, the position being on its opening quote. */
  #string(): string {
    const text = this.#text;
    const parts: string[] = [];
    let start = this.#at + 1;
    for (let at = start; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === quoteCode) {
        this.#at = at + 1;
        const last = text.slice(start, at);
        return parts.length === 0 ? last : parts.join("") + last;
      }
      if (code < 0x20) {
        this.#at = at;
        this.#fail("ST_HEADER_JSON", "control character in a string");
      }
      if (code === backslash) {
        parts.push(text.slice(start, at));
        this.#at = at;
        parts.push(this.#escape());
        at = this.#at - 1;
        start = this.#at;
      }
    }
    this.#at = text.length;
    return this.#fail("ST_HEADER_JSON", "the header ends within a string");
  }

  /** What the backslash at the position stands for. Half a surrogate pair is no character, so it is refused. */
  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? "";
    if (letter !== "u") {
      const char = escapes[letter];
      if (char === undefined) this.#fail("ST_HEADER_JSON", "unknown escape in a string");
      this.#at += 2;
      return char;
    }
    const first = this.#hex();
    if (first < 0xd800 || first > 0xdfff) return String.fromCharCode(first);
    if (first < 0xdc00 && this.#text.startsWith("\\u", this.#at)) {
      const second = this.#hex();
      if (second >= 0xdc00 && second <= 0xdfff) return String.fromCharCode(first, second);
    }
    return this.#fail("ST_HEADER_JSON", "half a surrogate pair in a string");
  }

  #hex(): number {
    const digits = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail("ST_HEADER_JSON", "\\u needs four hexadecimal digits");
    this.#at += 6;
    return Number.parseInt(digits, 16);
  }

  #literal(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #peek(): string | undefined {
    this.#space();
    return this.#text[this.#at];
  }

  #expect(char: string): void {
    if (this.#peek() !== char) this.#fail("ST_HEADER_JSON", `${this.#here()} where "${char}" should be`);
    this.#at++;
  }

  #here(): string {
    const char = this.#text[this.#at];
    return char === undefined ? "the header ends" : `"${printable(char)}"`;
  }

  #duplicate(key: string): never {
    return this.#fail("ST_DUPLICATE", `"${printable(key)}" stands there twice`);
  }

  #fail(code: string, fact: string): never {
    // Offsets count bytes of the file: 8 of length, then the UTF-8 of the text so far.
    const byte = 8 + new TextEncoder().encode(this.#text.slice(0, this.#at)).length;
    throw new ModelFileError(code, `${this.#file}: header, byte ${byte}: ${fact}`, {
      hint: "the file is damaged or was written by a faulty program; download it again",
      context: { byte },
    });
  }
}
