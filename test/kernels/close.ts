/** @file Comparison of arrays, with the worst element in the message. */
import { expect } from "vitest";
import { seed } from "./random.ts";

export interface Difference {
  /** Largest |actual - expected|, NaN counting as infinite. */
  readonly absolute: number;
  /** The same over the largest |expected|. */
  readonly relative: number;
  readonly index: number;
}

/** Largest difference between two arrays of one length. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) throw new Error(`lengths differ: actual ${actual.length}, expected ${expected.length}`);
  let absolute = 0;
  let index = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    largest = Math.max(largest, Math.abs(expected[i]!));
    // `not at most` rather than `greater`: a NaN must not pass.
    if (!(error <= absolute)) {
      absolute = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      index = i;
    }
  }
  return { absolute, relative: absolute === 0 ? 0 : absolute / largest, index };
}

/**
 * Fails unless every element lies within `tolerance` x max |expected|. Tolerances stand beside their case with a reason:
 * about 1e-6 x (a few) for f32 kernels, 1e-3 x (a few) for f16 storage (2^-11 a rounding).
 */
export function closeTo(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number, label = "result"): Difference {
  const worst = difference(actual, expected);
  if (!(worst.relative <= tolerance)) {
    const wrong = Array.from(expected, (value, i) => Math.abs(actual[i]! - value)).filter(
      (error) => !(error <= (tolerance * worst.absolute) / worst.relative),
    ).length;
    expect.fail(
      `${label}: element ${worst.index} is ${actual[worst.index]}, expected ${expected[worst.index]}: ` +
        `off by ${worst.relative.toExponential(2)} of max |expected|, allowed ${tolerance.toExponential(1)}; ` +
        `${wrong} of ${expected.length} elements are off (repeat with LIMN_TEST_SEED=${seed})`,
    );
  }
  return worst;
}
