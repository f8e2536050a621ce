import { firstMergeId, type Vocabulary, wordEndOffset } from "./vocabulary.ts";

/**
 * Byte-pair encoding (Sennrich et al. 2016; over bytes as in GPT-2) of pieces of text, as openai/CLIP `SimpleTokenizer.bpe`: in each
 * piece, join all places of the neighbouring pair whose merge has the lowest rank, left to right, until no pair has a merge.
 *
 * A symbol is made by one merge only, and merges that use it have higher ranks (scripts/make-vocabulary.mjs checks both). So one walk
 * through the ranks meets every pair in order, those included that earlier merges make: n bytes take O(n + number of merges).
 * No merge goes on after a word's end, so all the pieces can be done at once.
 */
export function encodePieces(pieces: readonly string[], vocabulary: Vocabulary): number[] {
  const symbols = byteSymbols(pieces, vocabulary);
  const { left, right } = vocabulary;
  const length = symbols.length;
  // A linked list over byte positions: a merge keeps the left symbol's place and unlinks the right one.
  const next = new Int32Array(length);
  const previous = new Int32Array(length);
  for (let position = 0; position < length; position++) {
    next[position] = position + 1;
    previous[position] = position - 1;
  }
  const places = new PlaceLists(left.length, 3 * length);
  const offer = (position: number): void => {
    const after = position < 0 ? length : next[position]!;
    if (after >= length) return;
    const rank = vocabulary.rankOf(symbols[position]!, symbols[after]!);
    if (rank >= 0) places.add(rank, position);
  };

  for (let position = 0; position < length - 1; position++) offer(position);
  for (let rank = 0; rank < left.length; rank++) {
    if (!places.has(rank)) continue;
    for (const position of places.of(rank, left[rank] === right[rank])) {
      const joined = next[position]!;
      // A place is stale when either symbol has been merged since.
      if (symbols[position] !== left[rank] || joined >= length || symbols[joined] !== right[rank]) continue;
      const after = next[joined]!;
      symbols[position] = firstMergeId + rank;
      symbols[joined] = -1;
      next[position] = after;
      if (after < length) previous[after] = position;
      offer(previous[position]!);
      offer(position);
    }
  }
  return Array.from(symbols.filter((symbol) => symbol >= 0));
}

/** The symbol of every byte; the last of each piece is the one that ends a word. */
function byteSymbols(pieces: readonly string[], vocabulary: Vocabulary): Int32Array {
  const bytes = new TextEncoder().encode(pieces.join(""));
  const symbols = new Int32Array(bytes.length);
  for (let position = 0; position < bytes.length; position++) symbols[position] = vocabulary.idOfByte[bytes[position]!]!;
  let end = 0;
  for (const piece of pieces) {
    for (const character of piece) end += utf8Length(character);
    symbols[end - 1]! += wordEndOffset;
  }
  return symbols;
}

function utf8Length(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return 1;
  if (code < 0x800) return 2;
  return code < 0x10000 ? 3 : 4;
}

/** For each rank the positions where its pair stands or has stood. */
class PlaceLists {
  readonly #first: Int32Array;
  readonly #position: Int32Array;
  readonly #rest: Int32Array;
  #size = 0;

  constructor(ranks: number, capacity: number) {
    this.#first = new Int32Array(ranks).fill(-1);
    this.#position = new Int32Array(capacity);
    this.#rest = new Int32Array(capacity);
  }

  has(rank: number): boolean {
    return this.#first[rank]! >= 0;
  }

  add(rank: number, position: number): void {
    const entry = this.#size++;
    this.#position[entry] = position;
    this.#rest[entry] = this.#first[rank]!;
    this.#first[rank] = entry;
  }

  /** The positions; sorted where the pair may overlap itself (`aaa`), as only then their order matters. */
  of(rank: number, sorted: boolean): number[] {
    const positions: number[] = [];
    for (let entry = this.#first[rank]!; entry >= 0; entry = this.#rest[entry]!) positions.push(this.#position[entry]!);
    return sorted ? positions.sort((a, b) => a - b) : positions;
  }
}

/** Appends the bytes of a symbol, a space after a word's last one, to `bytes`. */
export function decodeSymbol(id: number, vocabulary: Vocabulary, bytes: number[]): void {
  if (id >= firstMergeId) {
    decodeSymbol(vocabulary.left[id - firstMergeId]!, vocabulary, bytes);
    decodeSymbol(vocabulary.right[id - firstMergeId]!, vocabulary, bytes);
  } else {
    bytes.push(vocabulary.byteOfId[id % wordEndOffset]!);
    if (id >= wordEndOffset) bytes.push(0x20);
  }
}
