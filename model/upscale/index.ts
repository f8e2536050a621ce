/** @file Making pictures larger: networks (ESRGAN's family) and plain resampling. */
export { enlarge, findPixelUpscaler, type PixelUpscaler, pixelUpscalers, plainUpscaler } from "./enlarge.ts";
export type { ColourOrder } from "./pixel-order.ts";
export type { UpscalerStructure } from "./structure.ts";
export { tileDefaults, tileLimits } from "./tiles.ts";
export { type UpscaleOptions, Upscaler } from "./upscaler.ts";
