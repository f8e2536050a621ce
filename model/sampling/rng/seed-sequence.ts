/** @file numpy's SeedSequence (O'Neill's seed_seq_fe): spreads a seed over a pool of words, so that related seeds give unrelated streams. */

const { imul } = Math;

/** The words that `SeedSequence(entropy, spawn_key=spawnKey, pool_size=poolSize).generate_state(count)` gives. */
export function seedSequence(
  entropy: bigint,
  spawnKey: readonly number[],
  { poolSize, count }: { readonly poolSize: number; readonly count: number },
): Uint32Array {
  const words = wordsOf(entropy);
  if (spawnKey.length > 0) {
    while (words.length < poolSize) words.push(0);
    words.push(...spawnKey.flatMap((key) => wordsOf(BigInt(key))));
  }
  const hash = hasher();
  const pool = Uint32Array.from({ length: poolSize }, (_, i) => hash(words[i] ?? 0));
  for (let from = 0; from < poolSize; from++)
    for (let to = 0; to < poolSize; to++) if (to !== from) pool[to] = mix(pool[to]!, hash(pool[from]!));
  for (const word of words.slice(poolSize)) for (let to = 0; to < poolSize; to++) pool[to] = mix(pool[to]!, hash(word));

  let constant = 0x8b51f9dd;
  return Uint32Array.from({ length: count }, (_, i) => {
    let value = pool[i % poolSize]! ^ constant;
    constant = imul(constant, 0x58f38ded);
    value = imul(value, constant);
    return value ^ (value >>> 16);
  });
}

/** 32-bit words, the lowest first; 0 is one word. */
function wordsOf(value: bigint): number[] {
  const words: number[] = [];
  for (let rest = value; rest > 0n || words.length === 0; rest >>= 32n) words.push(Number(rest & 0xffffffffn));
  return words;
}

/** A hash whose constant changes with each call. */
function hasher(): (value: number) => number {
  let constant = 0x43b0d7e5;
  return (value) => {
    let hashed = value ^ constant;
    constant = imul(constant, 0x931e8875);
    hashed = imul(hashed, constant);
    return (hashed ^ (hashed >>> 16)) >>> 0;
  };
}

function mix(x: number, y: number): number {
  const mixed = imul(0xca01f9dd, x) - imul(0x4973f715, y);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
