/** @file Quantiles of the Beta distribution, for the schedule `beta`. */

/** Shape of Beta(alpha, beta): densities t^(alpha-1) (1-t)^(beta-1). */
export interface BetaShape {
  readonly alpha: number;
  readonly beta: number;
}

/** The x in 0..1 below which a share p of Beta(alpha, beta) lies. */
export function betaQuantile(p: number, { alpha, beta }: BetaShape): number {
  if (p === 0.5 && alpha === beta) return 0.5; // exact, as it may be rounded to a timestep
  const [lower, upper] = [lowerIntegral(0.5, alpha, beta), lowerIntegral(0.5, beta, alpha)];
  const whole = lower + upper;
  if (p * whole > lower) return 1 - below((1 - p) * whole, beta, alpha);
  return below(p * whole, alpha, beta);
}

/** The x <= 1/2 up to which the integral is `wanted`, by bisection. */
function below(wanted: number, alpha: number, beta: number): number {
  let [low, high] = [0, 0.5];
  for (let bit = 0; bit < 60; bit++) {
    const middle = (low + high) / 2;
    if (lowerIntegral(middle, alpha, beta) < wanted) low = middle;
    else high = middle;
  }
  return high;
}

/**
 * Integral of t^(alpha-1) (1-t)^(beta-1) from 0 to x <= 1/2: x^alpha (1-x)^beta / alpha times the hypergeometric series
 * F(1, alpha + beta; alpha + 1; x), whose terms are all positive (DLMF 8.17.8).
 */
function lowerIntegral(x: number, alpha: number, beta: number): number {
  let term = (x ** alpha * (1 - x) ** beta) / alpha;
  let sum = 0;
  for (let n = 1; term > sum * Number.EPSILON; n++) {
    sum += term;
    term *= ((alpha + beta + n - 1) / (alpha + n)) * x;
  }
  return sum;
}
