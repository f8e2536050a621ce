/** @file From a picture of any size to the size that is to be made: three ways, as the A1111 web UI has them (modules/images.py, resize_image). */
import { blank, crop, paste, type Raster, type Size } from "./raster.ts";
import { resize } from "./resample.ts";

/**
 * `stretch` changes the proportions; `crop` covers the new size and cuts what stands over; `fill` shows all of the picture and repeats
 * its border rows or columns beside it. All resample with Lanczos.
 */
export type ResizeMode = "stretch" | "crop" | "fill";
export const resizeModes: readonly ResizeMode[] = ["stretch", "crop", "fill"];

export function fitTo(raster: Raster, size: Size, mode: ResizeMode): Raster {
  if (raster.width === size.width && raster.height === size.height) return raster;
  if (mode === "stretch") return resize(raster, size);
  const wider = raster.width * size.height > size.width * raster.height;
  // One side becomes the new size's, the other follows; which one says whether something stands over or is missing.
  const byHeight = wider === (mode === "crop");
  const scaled = byHeight
    ? { width: Math.max(Math.floor((raster.width * size.height) / raster.height), 1), height: size.height }
    : { width: size.width, height: Math.max(Math.floor((raster.height * size.width) / raster.width), 1) };
  const resized = resize(raster, mode === "crop" ? coveringOnly(scaled, size) : scaled);
  const left = Math.floor(size.width / 2) - Math.floor(resized.width / 2);
  const top = Math.floor(size.height / 2) - Math.floor(resized.height / 2);
  const result = blank(size, raster.channels);
  if (mode === "fill") repeatBorders(result, resized, byHeight ? "columns" : "rows");
  paste(result, resized, { left, top });
  return result;
}

/** Rounding down must not leave a gap. */
function coveringOnly(scaled: Size, size: Size): Size {
  return { width: Math.max(scaled.width, size.width), height: Math.max(scaled.height, size.height) };
}

/** The first and the last row (or column) over the two halves of `target`. */
function repeatBorders(target: Raster, source: Raster, which: "rows" | "columns"): void {
  const across = which === "columns";
  const count = across ? target.width : target.height;
  const last = (across ? source.width : source.height) - 1;
  for (let i = 0; i < count; i++) {
    const at = i < count / 2 ? 0 : last;
    const line = across
      ? { left: at, top: 0, width: 1, height: source.height }
      : { left: 0, top: at, width: source.width, height: 1 };
    paste(target, crop(source, line), across ? { left: i, top: 0 } : { left: 0, top: i });
  }
}
