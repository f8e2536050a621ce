/** @file The hires pass. */
export {
  checkHires,
  cutLatent,
  defaultHiresDenoise,
  expectNoInit,
  type Hires,
  type HiresOptions,
  type HiresUpscaler,
  secondPassOptions,
} from "./hires.ts";
export { interpolate } from "./interpolate.ts";
export { findLatentUpscaler, latentUpscalers } from "./latent-upscalers.ts";
export { defaultHiresScale, hiresTarget } from "./target-size.ts";
