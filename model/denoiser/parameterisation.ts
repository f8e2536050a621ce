/**
 * @file What the U-Net's output means. In k-space x = x0 + sigma eps; the U-Net sees x / sqrt(sigma^2 + 1), which is the
 * variance-preserving latent (Karras et al. 2022, table 1, column "VP"; Salimans & Ho 2022 for v).
 * Each function gives the two coefficients of  a x + b out.
 */
import type { Prediction } from "../checkpoint/config.ts";

type Coefficients = readonly [ofX: number, ofOutput: number];

/** c_in: what the k-space latent is multiplied by before the U-Net sees it. */
export function inputScale(sigma: number): number {
  return 1 / Math.sqrt(sigma ** 2 + 1);
}

/** D(x; sigma) of a k-space x. */
export function denoisedFrom(prediction: Prediction, sigma: number): Coefficients {
  if (prediction === "eps") return [1, -sigma];
  return [1 / (sigma ** 2 + 1), -sigma / Math.sqrt(sigma ** 2 + 1)];
}

/** eps of a VP-space x: v = sqrt(alphaBar) eps - sqrt(1 - alphaBar) x0. */
export function epsFrom(prediction: Prediction, alphaBar: number): Coefficients {
  return prediction === "eps" ? [0, 1] : [Math.sqrt(1 - alphaBar), Math.sqrt(alphaBar)];
}

/** x0 of a VP-space x: x = sqrt(alphaBar) x0 + sqrt(1 - alphaBar) eps. With v it holds down to alphaBar = 0. */
export function x0From(prediction: Prediction, alphaBar: number): Coefficients {
  if (prediction === "eps") return [1 / Math.sqrt(alphaBar), -Math.sqrt((1 - alphaBar) / alphaBar)];
  return [Math.sqrt(alphaBar), -Math.sqrt(1 - alphaBar)];
}
