/** @file The split of a step into a deterministic part and fresh noise, which the ancestral samplers share. */

export interface AncestralSplit {
  /** Noise level that the deterministic part goes down to. */
  readonly down: number;
  /** Standard deviation of the noise added after it: down^2 + up^2 = next^2. */
  readonly up: number;
}

/** The variance of DDPM's posterior in terms of sigma, scaled by eta: eta 1 is DDPM's own, 0 adds nothing (k-diffusion). */
export function ancestralSplit(sigma: number, next: number, eta: number): AncestralSplit {
  const up = Math.min(next, eta * Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2));
  return { down: Math.sqrt(next ** 2 - up ** 2), up };
}
