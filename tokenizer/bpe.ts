import { firstMergeId, type Vocabulary, wordEndOffset } from "./vocabulary.ts";

/**
 * Byte-pair encoding (Sennrich et al. 2016; bytes as in GPT-2) of one piece of text, as openai/CLIP `SimpleTokenizer.bpe`:
 * while a pair of neighbours has a merge, join the pair of the lowest rank, leftmost first.
 *
 * A symbol is made by a single merge, and later merges only have higher ranks (scripts/make-vocabulary.mjs checks it), so taking
 * pairs from a heap in the order (rank, position) is the same as joining all places of one pair before looking again,
 * and a piece of n bytes takes O(n log n).
 */
export function encodePiece(piece: Uint8Array, vocabulary: Vocabulary): number[] {
  const length = piece.length;
  if (length === 0) return [];
  const symbols = Int32Array.from(piece, (byte) => vocabulary.idOfByte[byte]!);
  symbols[length - 1]! += wordEndOffset;

  // The symbols are a linked list over byte positions: a merge keeps the left one's place and unlinks the right one.
  const next = Int32Array.from(symbols, (_, position) => position + 1);
  const previous = Int32Array.from(symbols, (_, position) => position - 1);
  const heap = new MinHeap(3 * length);
  const offer = (position: number): void => {
    if (position < 0 || next[position]! >= length) return;
    const rank = vocabulary.rankOf(symbols[position]!, symbols[next[position]!]!);
    if (rank >= 0) heap.push(rank * length + position);
  };

  for (let position = 0; position < length - 1; position++) offer(position);
  for (let key = heap.pop(); key >= 0; key = heap.pop()) {
    const position = key % length;
    const rank = (key - position) / length;
    const joined = next[position]!;
    // An entry is stale when either of its symbols has been merged since.
    if (symbols[position] !== vocabulary.left[rank] || joined >= length || symbols[joined] !== vocabulary.right[rank]) continue;
    symbols[position] = firstMergeId + rank;
    symbols[joined] = -1;
    const after = next[joined]!;
    next[position] = after;
    if (after < length) previous[after] = position;
    offer(previous[position]!);
    offer(position);
  }
  return Array.from(symbols.filter((symbol) => symbol >= 0));
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

/** A binary heap of non-negative numbers. */
class MinHeap {
  readonly #keys: Float64Array;
  #size = 0;

  constructor(capacity: number) {
    this.#keys = new Float64Array(capacity);
  }

  push(key: number): void {
    const keys = this.#keys;
    let slot = this.#size++;
    while (slot > 0) {
      const parent = (slot - 1) >> 1;
      if (keys[parent]! <= key) break;
      keys[slot] = keys[parent]!;
      slot = parent;
    }
    keys[slot] = key;
  }

  /** Takes the smallest key, or -1 when there is none. */
  pop(): number {
    if (this.#size === 0) return -1;
    const keys = this.#keys;
    const smallest = keys[0]!;
    const last = keys[--this.#size]!;
    let slot = 0;
    for (let child = 1; child < this.#size; child = 2 * slot + 1) {
      if (child + 1 < this.#size && keys[child + 1]! < keys[child]!) child++;
      if (keys[child]! >= last) break;
      keys[slot] = keys[child]!;
      slot = child;
    }
    keys[slot] = last;
    return smallest;
  }
}
