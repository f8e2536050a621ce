/** @file Pictures on the CPU: resizing, masks, geometry. */
export { fillMasked } from "./fill-masked.ts";
export { fitTo, type ResizeMode, resizeModes } from "./fit.ts";
export { gaussianBlur } from "./gaussian-blur.ts";
export { grownTo, maskedRegion } from "./mask-region.ts";
export { binary, composite, inverted, latentMask, nearestMask } from "./masks.ts";
export { type Box, blank, crop, greyOf, mostSide, paste, type Raster, rgbOf, type Size } from "./raster.ts";
export { resize, resizeNearest } from "./resample.ts";
