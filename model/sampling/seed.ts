/** @file Seeds: integers 0..2^64-1, kept as bigint because a JavaScript number is exact only to 2^53. */

import { UsageError } from "../../engine/errors.ts";

const LIMIT = 1n << 64n;

/**
 * The seed a user gave, or a random one of 32 bits for -1 or nothing.
 * @throws UsageError INVALID_SEED for anything but a decimal integer in range, and for a number beyond 2^53 (it has
 *   already lost digits).
 */
export function parseSeed(value?: string | number | bigint): bigint {
  if (value === undefined || String(value).trim() === "-1") return randomSeed();
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw invalid(value, "is beyond 2^53, where a number loses digits", "send it as a string");
  }
  const text = String(value).trim();
  const usual = "use 0 to 18446744073709551615, or -1 for a random one";
  if (/^-\d+$/.test(text)) throw invalid(value, "is below the smallest seed, 0", usual);
  if (!/^\d+$/.test(text)) throw invalid(value, "is not a whole number", usual);
  // More digits than that are not converted: they may be millions.
  const seed = text.length > 30 ? LIMIT : BigInt(text);
  if (seed >= LIMIT) throw invalid(value, "is above the largest seed, 18446744073709551615", "use 0 to 18446744073709551615");
  return seed;
}

/** 32 random bits: short enough to read out. */
export function randomSeed(): bigint {
  return BigInt(crypto.getRandomValues(new Uint32Array(1))[0]!);
}

/** The seed of image `index` in a batch: seed + index, wrapping at 2^64. */
export function batchSeed(seed: bigint, index: number): bigint {
  return BigInt.asUintN(64, seed + BigInt(index));
}

function invalid(value: string | number | bigint, fact: string, hint: string): UsageError {
  return new UsageError("INVALID_SEED", `seed: ${JSON.stringify(String(value))} ${fact}`, {
    hint,
    context: { seed: String(value) },
  });
}
