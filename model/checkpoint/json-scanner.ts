/** @file JSON, scanned strictly and in one pass: no recursion without end, a byte offset in every error. */
import { ModelFileError } from "../../engine/errors.ts";
import { printable } from "./printable.ts";

const maxDepth = 8;

const quoteCode = 0x22;
const backslash = 0x5c;
/** A position in the JSON text of a header, and the steps that move it on. */
export class JsonScanner {
  readonly #text: string;
  readonly #file: string;
  readonly #within: { readonly what: string; readonly begin: number };
  #at = 0;

  /** @param within for messages: what the text is, and the byte of the file that it begins at */
  constructor(text: string, file: string, within = { what: "header", begin: 8 }) {
    this.#text = text;
    this.#file = file;
    this.#within = within;
  }

  /** Nothing but blanks may follow. */
  end(): void {
    this.#space();
    if (this.#at < this.#text.length) this.fail("ST_HEADER_JSON", `${this.#here()} after the closing brace`);
  }

  /** An array of unsigned integers, written as integers, below 2^53. */
  integers(code: string, what: () => string, most: number): number[] {
    if (this.peek() !== "[") this.fail(code, `${what()} is not a list of whole numbers`);
    this.#at++;
    const values: number[] = [];
    if (this.peek() === "]") {
      this.#at++;
      return values;
    }
    for (;;) {
      if (values.length === most) this.fail(code, `${what()} has more than ${most} numbers`);
      this.#space();
      const written = this.#digits();
      const value = Number(written);
      if (written === "" || (written.length > 1 && written.startsWith("0"))) {
        this.fail(code, `${what()}: ${this.#here()} where a whole number should be`);
      }
      if (!Number.isSafeInteger(value)) this.fail(code, `${what()}: ${printable(written, 40)} is above 2^53 - 1`);
      values.push(value);
      const next = this.peek();
      if (next !== "," && next !== "]") this.fail(code, `${what()}: ${this.#here()} where a whole number should end`);
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
  object(depth: number, value: (key: string) => void): void {
    if (depth > maxDepth) this.fail("ST_DEPTH", `nested more than ${maxDepth} deep`);
    this.#expect("{");
    if (this.peek() === "}") {
      this.#at++;
      return;
    }
    for (;;) {
      this.#space();
      if (this.#text[this.#at] !== '"') this.fail("ST_HEADER_JSON", `${this.#here()} where a name should begin`);
      const key = this.string();
      this.#expect(":");
      this.#space();
      value(key);
      if (this.peek() === "}") {
        this.#at++;
        return;
      }
      this.#expect(",");
    }
  }

  /** Any JSON value, checked and dropped: unknown fields are allowed. */
  skip(depth: number): void {
    const next = this.peek();
    if (next === '"') {
      this.string();
    } else if (next === "{") {
      this.object(depth, () => this.skip(depth + 1));
    } else if (next === "[") {
      if (depth > maxDepth) this.fail("ST_DEPTH", `nested more than ${maxDepth} deep`);
      this.#at++;
      if (this.peek() === "]") {
        this.#at++;
        return;
      }
      for (;;) {
        this.skip(depth + 1);
        if (this.peek() === "]") {
          this.#at++;
          return;
        }
        this.#expect(",");
      }
    } else if (!(this.literal("true") || this.literal("false") || this.literal("null"))) {
      const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
      number.lastIndex = this.#at;
      const written = number.exec(this.#text)?.[0];
      if (written === undefined) this.fail("ST_HEADER_JSON", `${this.#here()} where a value should be`);
      this.#at += written.length;
    }
  }

  /** A string, the position being on its opening quote. */
  string(): string {
    const text = this.#text;
    const start = this.#at;
    let escaped = false;
    for (let at = start + 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code === quoteCode) {
        this.#at = at + 1;
        return escaped ? this.#unescape(start) : text.slice(start + 1, at);
      }
      if (code < 0x20) {
        this.#at = at;
        this.fail("ST_HEADER_JSON", "control character in a string");
      }
      if (code === backslash) {
        escaped = true;
        at++; // whatever it is, it does not end the string
      }
    }
    this.#at = text.length;
    return this.fail("ST_HEADER_JSON", "it ends within a string");
  }

  /** The string from `start` to the position, by the engine's own parser; half a surrogate pair is no character. */
  #unescape(start: number): string {
    const written = this.#text.slice(start, this.#at);
    let value: unknown;
    try {
      value = JSON.parse(written);
    } catch {
      value = undefined;
    }
    if (typeof value === "string" && !/\p{Surrogate}/u.test(value)) return value;
    this.#at = start;
    return this.fail("ST_HEADER_JSON", "a string with an escape that stands for nothing");
  }

  literal(word: string): boolean {
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

  peek(): string | undefined {
    this.#space();
    return this.#text[this.#at];
  }

  #expect(char: string): void {
    if (this.peek() !== char) this.fail("ST_HEADER_JSON", `${this.#here()} where "${char}" should be`);
    this.#at++;
  }

  #here(): string {
    const char = this.#text[this.#at];
    return char === undefined ? `the ${this.#within.what} ends` : `"${printable(char)}"`;
  }

  duplicate(key: string): never {
    return this.fail("ST_DUPLICATE", `"${printable(key)}" stands there twice`);
  }

  fail(code: string, fact: string): never {
    // Offsets count bytes of the file: what stands before the text, then the UTF-8 of the text so far.
    const { what, begin } = this.#within;
    const byte = begin + new TextEncoder().encode(this.#text.slice(0, this.#at)).length;
    throw new ModelFileError(code, `${this.#file}: ${what}, byte ${byte}: ${fact}`, {
      hint: "the file is damaged or was written by a faulty program; download it again",
      context: { byte },
    });
  }
}
