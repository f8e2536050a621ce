import { MergeQueue } from "./merge-queue.ts";
import { firstMergeId, type Vocabulary, wordEndOffset } from "./vocabulary.ts";

/** Empty after each text, and kept for the next. */
let queue: MergeQueue | undefined;

/**
 * Byte-pair encoding (Sennrich et al. 2016; over bytes as in GPT-2) of pieces of text, as openai/CLIP `SimpleTokenizer.bpe`: in each
 * piece, join all places of the neighbouring pair whose merge has the lowest rank, left to right, until no pair has a merge.
 *
 * A symbol is made by one merge only, and merges that use it have higher ranks (scripts/make-vocabulary.mjs checks both). So one walk
 * through the ranks that occur meets every pair in order, those included that earlier merges make: linear time.
 * No merge goes on after a word's end, so any number of pieces, and of texts, can be done at once.
 *
 * @param symbols of the pieces' bytes, the last of each piece one that ends a word. In place: a joined symbol stands where its first part
 * stood, and -1 where the others did.
 */
export function mergeSymbols(symbols: number[], vocabulary: Vocabulary): void {
  const { left, right } = vocabulary;
  const { length } = symbols;
  // A linked list over byte positions: a merge keeps the left symbol's place and unlinks the right one.
  const next = new Int32Array(length);
  const previous = new Int32Array(length);
  for (let position = 0; position < length; position++) {
    next[position] = position + 1;
    previous[position] = position - 1;
  }
  queue ??= new MergeQueue(left.length);
  const waiting = queue;
  const offer = (position: number, after: number): void => {
    const rank = vocabulary.rankOf(symbols[position]!, symbols[after]!);
    if (rank >= 0) waiting.add(rank, position);
  };

  for (let position = 1; position < length; position++) offer(position - 1, position);
  for (let rank = waiting.next(0); rank >= 0; rank = waiting.next(rank)) {
    const first = left[rank]!;
    const second = right[rank]!;
    const positions = waiting.take(rank);
    // Only where the pair may overlap itself (`aaa`) the order matters.
    for (const position of first === second ? Int32Array.from(positions).sort() : positions) {
      const gone = next[position]!;
      // A place is stale when either symbol has been merged since.
      if (symbols[position] !== first || gone >= length || symbols[gone] !== second) continue;
      const before = previous[position]!;
      const after = next[gone]!;
      symbols[position] = firstMergeId + rank;
      symbols[gone] = -1;
      next[position] = after;
      if (before >= 0) offer(before, position);
      if (after >= length) continue;
      previous[after] = position;
      offer(position, after);
    }
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
