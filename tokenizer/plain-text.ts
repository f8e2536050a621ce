/**
 * @file The short way from text to symbols, for ASCII without "&" and control characters, which is most prompts: cleaning such a text changes
 * nothing but capitals and blanks, and its pieces can be told by looking at each character once.
 */
import { type Vocabulary, wordEndOffset } from "./vocabulary.ts";

/** What a character is to the pieces (see `splitPieces`). */
const [other, blank, letter, digit, sign] = [0, 1, 2, 3, 4] as const;

/** The bit that makes a small letter of a capital. */
const lowerCase = 0x20;

const kinds = Uint8Array.from({ length: 128 }, (_, unit) => {
  const character = String.fromCharCode(unit);
  if (/[\t\n ]/.test(character)) return blank;
  if (/[a-z]/i.test(character)) return letter;
  if (/\d/.test(character)) return digit;
  return /[!-%'-~]/.test(character) ? sign : other;
});

/** Appends the symbols of a text's pieces; false, with nothing appended, if the text is not as plain as that. */
export function appendPlain(text: string, symbols: number[], { idOfByte }: Vocabulary): boolean {
  const start = symbols.length;
  /** What the piece under way is made of; blank where there is none. */
  let piece: number = blank;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    const kind = unit < 128 ? kinds[unit]! : other;
    if (kind === other) {
      symbols.length = start;
      return false;
    }
    if (piece !== blank && (kind !== piece || kind === digit)) endPiece(symbols);
    const contraction = unit === 0x27 /* ' */ && piece !== sign ? contractionLength(text, at) : 0;
    piece = kind;
    if (kind !== blank) symbols.push(idOfByte[kind === letter ? unit | lowerCase : unit]!);
    if (contraction === 0) continue;
    for (const end = at + contraction; at + 1 < end; at++) symbols.push(idOfByte[text.charCodeAt(at + 1) | lowerCase]!);
    endPiece(symbols);
    piece = blank;
  }
  if (piece !== blank) endPiece(symbols);
  return true;
}

function endPiece(symbols: number[]): void {
  symbols[symbols.length - 1]! += wordEndOffset;
}

/** Of 's, 't, 'm, 'd, 're, 've, 'll; 0 for anything else. */
function contractionLength(text: string, apostrophe: number): number {
  switch (text.charCodeAt(apostrophe + 1) | lowerCase) {
    case 0x73: // s
    case 0x74: // t
    case 0x6d: // m
    case 0x64: // d
      return 2;
    case 0x72: // r
    case 0x76: // v
      return (text.charCodeAt(apostrophe + 2) | lowerCase) === 0x65 /* e */ ? 3 : 0;
    case 0x6c: // l
      return (text.charCodeAt(apostrophe + 2) | lowerCase) === 0x6c /* l */ ? 3 : 0;
    default:
      return 0;
  }
}
