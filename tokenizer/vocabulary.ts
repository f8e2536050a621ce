import { mergeData } from "./vocabulary-data.ts";

/** Ids 0..255 are the byte symbols, 256..511 the same at the end of a word, 512.. the merges in order. */
export const wordEndOffset = 256;
export const firstMergeId = 512;
export const startToken = 49406;
export const endToken = 49407;

/** CLIP's merges as id pairs: merge `rank` joins `left[rank]` and `right[rank]` into the symbol `firstMergeId + rank`. */
export interface Vocabulary {
  readonly left: Uint16Array;
  readonly right: Uint16Array;
  /** The rank of the merge of a pair of symbols, or -1. */
  rankOf(left: number, right: number): number;
  /** The id (0..255) of a byte's symbol inside a word. */
  readonly idOfByte: Uint8Array;
  readonly byteOfId: Uint8Array;
}

/**
 * The byte symbols' order (openai/CLIP `bytes_to_unicode`): first the printable bytes of Latin-1, then the other 68.
 */
function byteOrder(): number[] {
  const printable = (byte: number) => (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return [...bytes.filter(printable), ...bytes.filter((byte) => !printable(byte))];
}

/** log2 of the slots of the pair table: 48,894 pairs fill more than a third of it. */
const slotBits = 17;
const slotMask = 2 ** slotBits - 1;

/** Fibonacci hashing (Knuth, TAOCP 3, 6.4): the top bits of the product with 2^32 / phi. */
function slotOf(left: number, right: number): number {
  return Math.imul((left << 16) | right, 0x9e3779b1) >>> (32 - slotBits);
}

/**
 * A hash table of typed arrays, linear probing: a `Map` of the same pairs takes several times as long to build,
 * and that is most of what the first prompt waits for.
 */
function pairTable(left: Uint16Array, right: Uint16Array): (left: number, right: number) => number {
  const slots = new Int32Array(slotMask + 1).fill(-1);
  for (let rank = 0; rank < left.length; rank++) {
    let slot = slotOf(left[rank]!, right[rank]!);
    while (slots[slot]! >= 0) slot = (slot + 1) & slotMask;
    slots[slot] = rank;
  }
  return (l, r) => {
    for (let slot = slotOf(l, r); ; slot = (slot + 1) & slotMask) {
      const rank = slots[slot]!;
      if (rank < 0 || (left[rank] === l && right[rank] === r)) return rank;
    }
  };
}

function build(): Vocabulary {
  const bytes = atob(mergeData);
  const count = bytes.length / 4;
  const left = new Uint16Array(count);
  const right = new Uint16Array(count);
  for (let rank = 0; rank < count; rank++) {
    left[rank] = bytes.charCodeAt(rank * 4) | (bytes.charCodeAt(rank * 4 + 1) << 8);
    right[rank] = bytes.charCodeAt(rank * 4 + 2) | (bytes.charCodeAt(rank * 4 + 3) << 8);
  }
  const byteOfId = Uint8Array.from(byteOrder());
  const idOfByte = new Uint8Array(256);
  byteOfId.forEach((byte, id) => {
    idOfByte[byte] = id;
  });
  return { left, right, rankOf: pairTable(left, right), idOfByte, byteOfId };
}

let built: Vocabulary | undefined;

/** The one vocabulary of every CLIP text encoder, built at the first call. */
export function vocabulary(): Vocabulary {
  built ??= build();
  return built;
}
