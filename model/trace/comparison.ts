/** @file How far two tensors are apart. */
import { ShapeError } from "../../engine/index.ts";

export interface Difference {
  /** max |a - b|; Number.MAX_VALUE where one is NaN or infinite and the other isn't, as JSON has neither. */
  readonly maxAbsError: number;
  /** max |a - b| / max |b|, where b is the recorded tensor. */
  readonly relativeError: number;
}

/** @throws ShapeError when they differ in length */
export function difference(name: string, computed: ArrayLike<number>, recorded: ArrayLike<number>): Difference {
  if (computed.length !== recorded.length)
    throw new ShapeError(`trace: ${name} has ${recorded.length} values in the file, limn computes ${computed.length}`);
  let [maxAbsError, largest] = [0, 0];
  for (let i = 0; i < recorded.length; i++) {
    const [a, b] = [computed[i]!, recorded[i]!];
    // Object.is: NaN against NaN and infinity against itself agree, though their difference is NaN.
    const error = Object.is(a, b) ? 0 : Math.abs(a - b);
    if (!(error <= maxAbsError)) maxAbsError = Number.isFinite(error) ? error : Number.MAX_VALUE;
    if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
  }
  const relativeError = maxAbsError === 0 ? 0 : Math.min(maxAbsError / largest, Number.MAX_VALUE);
  return { maxAbsError, relativeError };
}

/** Decoded pictures are bytes: one level may fall to the other side of its rounding. */
export function diverges(name: string, { maxAbsError, relativeError }: Difference, tolerance: number): boolean {
  if (name.endsWith(".image") && maxAbsError <= 1) return false;
  return !(relativeError <= tolerance);
}
