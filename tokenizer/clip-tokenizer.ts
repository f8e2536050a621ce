import { decodeSymbol, mergeSymbols } from "./bpe.ts";
import { clean } from "./clean.ts";
import { appendPieces } from "./pieces.ts";
import { appendPlain } from "./plain-text.ts";
import { endToken, startToken, vocabulary } from "./vocabulary.ts";

/** Longest prompt, in bytes of UTF-8. */
export const maxPromptBytes = 65_536;

export interface SequenceOptions {
  /** Tokens of the text encoder's context, start and end included. Default 77. */
  readonly length?: number;
  /** What follows the end token: itself ("end": SD 1.x and the first encoder of SDXL) or 0 ("zero": OpenCLIP, SD 2.x and SDXL's second). */
  readonly pad?: "end" | "zero";
}

/** The prompt was longer than the tokenizer takes. */
export class PromptTooLongError extends RangeError {
  override readonly name = "PromptTooLongError";
  readonly code = "PROMPT_TOO_LONG";
}

/**
 * The tokenizer of CLIP (Radford et al. 2021), shared by every text encoder of Stable Diffusion.
 * Gives the ids of openai/CLIP `simple_tokenizer.py`, but for two things: `<|startoftext|>` and `<|endoftext|>` typed in a prompt are ordinary
 * text (as in open_clip), and text in a rarer wrong encoding is not repaired (see mojibake.ts).
 */
export class ClipTokenizer {
  /**
   * The ids of a text, without start and end, neither cut nor padded. Any string is valid, lone surrogates included.
   * @throws PromptTooLongError above 64 KiB of UTF-8.
   */
  encode(text: string): number[] {
    return this.encodeAll([text])[0]!;
  }

  /**
   * The ids of several texts, each by itself: quicker than one after the other where they are many and short, as the stretches of a prompt are.
   * @throws PromptTooLongError for one above 64 KiB of UTF-8.
   */
  encodeAll(texts: readonly string[]): number[][] {
    const table = vocabulary();
    const symbols: number[] = [];
    const ends = texts.map((text) => {
      checkPromptLength(text);
      if (!appendPlain(text, symbols, table)) appendPieces(clean(text), symbols, table);
      return symbols.length;
    });
    mergeSymbols(symbols, table);
    let at = 0;
    return ends.map((end) => {
      const ids: number[] = [];
      for (; at < end; at++) if (symbols[at]! >= 0) ids.push(symbols[at]!);
      return ids;
    });
  }

  /**
   * The clean text of ids, one space between pieces; start and end tokens are left out. Ids that cut a character in two give U+FFFD.
   * @throws RangeError for a number that is no id.
   */
  decode(ids: ArrayLike<number>): string {
    const table = vocabulary();
    const bytes: number[] = [];
    for (const id of Array.from(ids)) {
      if (!Number.isInteger(id) || id < 0 || id > endToken) {
        throw new RangeError(`decode: ${id} is no token id - CLIP's are 0 to ${endToken}`);
      }
      if (id < startToken) decodeSymbol(id, table, bytes);
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes)).replace(/ $/, "");
  }

  /**
   * What a text encoder reads: `[length]` ids, the start token, as many of `ids` as fit, the end token, padding.
   * @throws RangeError if `length` has no room for start and end.
   */
  sequence(ids: ArrayLike<number>, { length = 77, pad = "end" }: SequenceOptions = {}): Uint32Array {
    if (!Number.isInteger(length) || length < 2) {
      throw new RangeError(`sequence: length is ${length}, but the start and end tokens alone are 2; CLIP's context is 77`);
    }
    const sequence = new Uint32Array(length).fill(pad === "end" ? endToken : 0);
    const kept = Math.min(ids.length, length - 2);
    sequence[0] = startToken;
    for (let index = 0; index < kept; index++) sequence[index + 1] = ids[index]!;
    sequence[kept + 1] = endToken;
    return sequence;
  }
}

/** @throws PromptTooLongError above 64 KiB of UTF-8. */
export function checkPromptLength(text: string): void {
  // UTF-8 has one to three bytes for a UTF-16 unit, so most strings are short enough, and a huge one is refused, without encoding them.
  if (text.length * 3 <= maxPromptBytes) return;
  const bytes = text.length > maxPromptBytes ? text.length : new TextEncoder().encode(text).length;
  if (bytes > maxPromptBytes) {
    const size = text.length > maxPromptBytes ? `at least ${bytes}` : `${bytes}`;
    throw new PromptTooLongError(
      `encode: the prompt has ${size} bytes, the limit is ${maxPromptBytes}; shorten it (an encoder reads 75 tokens)`,
    );
  }
}
