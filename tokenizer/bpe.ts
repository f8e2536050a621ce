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
  queue.reserve(3 * length);
  const waiting = queue;
  const offer = (position: number, after: number): void => {
    const rank = vocabulary.rankOf(symbols[position]!, symbols[after]!);
    if (rank >= 0) waiting.add(rank, position);
  };

  for (let position = 1; position < length; position++) offer(position - 1, position);
  for (let place = waiting.pop(); place >= 0; place = waiting.pop()) {
    const first = left[waiting.rank]!;
    const second = right[waiting.rank]!;
    let position = place;
    // A pair that overlaps itself, as in `aaa`, is joined from the beginning of its run on.
    if (first === second) while (position > 0 && symbols[previous[position]!] === first) position = previous[position]!;
    do {
      const gone = next[position]!;
      // A place is stale when either symbol has been merged since.
      if (symbols[position] !== first || gone >= length || symbols[gone] !== second) break;
      const before = previous[position]!;
      const after = next[gone]!;
      symbols[position] = firstMergeId + waiting.rank;
      symbols[gone] = -1;
      next[position] = after;
      if (before >= 0) offer(before, position);
      if (after >= length) break;
      previous[after] = position;
      offer(position, after);
      position = after;
    } while (first === second);
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
