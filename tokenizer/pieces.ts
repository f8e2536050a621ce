import { type Vocabulary, wordEndOffset } from "./vocabulary.ts";

/**
 * Letters and numbers of Unicode 18 that Unicode 17 does not have. JavaScript engines learn them years later than the `regex` package
 * that the reference splits text with, and the same prompt shall have the same ids in both.
 */
const newLetters = String.raw`\u0558\u058b\u058c\u208f\u209d-\u209f\ua7dd\ua7e2\uab6c\uab6d\u{107bb}-\u{107bf}\u{10ed9}-\u{10eee}\u{11b0a}\u{11df1}\u{18cd6}-\u{18cda}\u{18d1f}\u{18d20}\u{18e00}-\u{19191}\u{191a0}-\u{191d2}\u{1b123}-\u{1b128}\u{1b168}\u{1d6a6}\u{1df1f}-\u{1df24}\u{1df2b}-\u{1df81}\u{1df90}-\u{1df96}\u{1dfcd}-\u{1dfff}\u{2b81e}\u{3d000}-\u{3fc3f}`;
const newNumbers = String.raw`\u{1246f}\u{12475}-\u{1247f}\u{12550}-\u{12686}`;

const letter = String.raw`\p{L}${newLetters}`;
const number = String.raw`\p{N}${newNumbers}`;

/**
 * How openai/CLIP splits clean text: contractions, words, single digits, runs of anything else. U+017F and U+0345 stand here because
 * the original ignores case, in which they equal "s" and a Greek letter: the one ends a contraction, the other is no piece at all.
 */
const piecePattern = new RegExp(
  String.raw`'(?:[s\u017ftmd]|re|ve|ll)|[${letter}]+|[${number}]|(?:(?!\u0345)[^\p{White_Space}${letter}${number}])+`,
  "gu",
);

/** Appends the symbols of clean text: those of its bytes in UTF-8, the last of each piece one that ends a word. Merges never cross the pieces' borders. */
export function appendPieces(text: string, symbols: number[], { idOfByte }: Vocabulary): void {
  const add = (byte: number): number => symbols.push(idOfByte[byte]!);
  for (const piece of text.match(piecePattern) ?? []) {
    for (let at = 0; at < piece.length; at++) {
      const point = piece.codePointAt(at)!;
      if (point < 0x80) add(point);
      else {
        if (point < 0x800) add(0xc0 | (point >> 6));
        else {
          if (point < 0x10000) add(0xe0 | (point >> 12));
          else {
            add(0xf0 | (point >> 18));
            add(0x80 | ((point >> 12) & 0x3f));
            at++; // of two UTF-16 units
          }
          add(0x80 | ((point >> 6) & 0x3f));
        }
        add(0x80 | (point & 0x3f));
      }
    }
    symbols[symbols.length - 1]! += wordEndOffset;
  }
}
