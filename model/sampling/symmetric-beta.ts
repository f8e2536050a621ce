/** @file The symmetric Beta distribution, for the schedule `beta`. */

/** Terms of the series: at x <= 1/2 each is less than half the one before. */
const TERMS = 60;

/** The x in 0..1 below which a share p of Beta(a, a) lies. */
export function symmetricBetaQuantile(p: number, a: number): number {
  if (p === 0.5) return 0.5; // exact, as it may be rounded to a timestep
  if (p > 0.5) return 1 - symmetricBetaQuantile(1 - p, a);
  const half = lowerIntegral(0.5, a);
  let [low, high] = [0, 0.5];
  for (let bit = 0; bit < 60; bit++) {
    const middle = (low + high) / 2;
    if (lowerIntegral(middle, a) < 2 * p * half) low = middle;
    else high = middle;
  }
  return high;
}

/** Integral of (t (1 - t))^(a-1) from 0 to x <= 1/2, by the binomial series of (1 - t)^(a-1). */
function lowerIntegral(x: number, a: number): number {
  let [coefficient, sum] = [1, 0];
  for (let n = 0; n < TERMS; n++) {
    sum += (coefficient * x ** n) / (a + n);
    coefficient *= (n + 1 - a) / (n + 1);
  }
  return sum * x ** a;
}
