/** @file The picture of a grid: columns for x, rows for y, one block under the other for z, labels beside them. */
import { UsageError } from "../../engine/errors.ts";
import { blank, paste, type Raster, resize, rgbOf, type Size } from "../../model/image/index.ts";
import { maxPngPixels, maxPngSide } from "../png/png.ts";
import { draw, type Lettering, letter } from "./lettering.ts";

/** Labels of the columns, the rows and the blocks; an axis that is not used has one empty label. */
export interface SheetLabels {
  readonly x: readonly string[];
  readonly y: readonly string[];
  readonly z: readonly string[];
}

interface Layout {
  readonly cell: Size;
  readonly gap: number;
  readonly columns: readonly Lettering[];
  readonly rows: readonly Lettering[];
  readonly blocks: readonly Lettering[];
  /** Pixels: of the labels at the left, of those over the columns. */
  readonly margin: number;
  readonly header: number;
  readonly width: number;
  readonly height: number;
}

/** Widest column of labels, in dots. */
const labelColumns = 150;

/** Where everything goes, for cells of this size in pixels. @throws UsageError GRID_TOO_LARGE */
export function layOut({ x, y, z }: SheetLabels, cell: Size): Layout {
  const scale = Math.max(1, Math.round(cell.width / 200));
  const gap = Math.max(2, Math.round(cell.width / 32));
  const columns = x.map((text) => letter(text, { width: cell.width, scale }));
  const rows = y.map((text) => letter(text, { width: Math.max(cell.width, labelColumns * scale), scale }));
  const margin = Math.max(0, ...rows.map((row) => row.width));
  const body = (margin > 0 ? margin + gap : 0) + x.length * (cell.width + gap) + gap;
  const blocks = z.map((text) => letter(text, { width: body - 2 * gap, scale }));
  const header = Math.max(0, ...columns.map((column) => column.height));
  const blockHeights = blocks.map((block) => block.height + header + y.length * (cell.height + gap) + gap);
  const height = blockHeights.reduce((sum, one) => sum + one, gap);
  if (body > maxPngSide || height > maxPngSide || body * height > maxPngPixels) {
    throw new UsageError(
      "GRID_TOO_LARGE",
      `the grid would have ${body}x${height} pixels; ${maxPngSide} a side and ${maxPngPixels} in all are the most`,
      { hint: "shrink its cells with --cell-size 128, or take fewer values", context: { width: body, height } },
    );
  }
  return { cell, gap, columns, rows, blocks, margin, header, width: body, height };
}

/** Draws the grid on white. `cells` by place: x runs first, then y, then z. Cells of another size are centred in theirs. */
export function drawSheet(layout: Layout, cells: readonly Raster[]): Raster {
  const { cell, gap, columns, rows, blocks, margin, header } = layout;
  const sheet = blank(layout, 3);
  sheet.data.fill(255);
  const left = margin > 0 ? margin + 2 * gap : gap;
  let top = gap;
  for (const [z, title] of blocks.entries()) {
    draw(sheet, title, { left: gap, top, width: layout.width - 2 * gap });
    top += title.height;
    for (const [x, label] of columns.entries())
      draw(sheet, label, { left: left + x * (cell.width + gap), top, width: cell.width });
    top += header;
    for (const [y, label] of rows.entries()) {
      draw(sheet, label, { left: gap, top: top + Math.max(0, Math.floor((cell.height - label.height) / 2)), width: margin });
      for (let x = 0; x < columns.length; x++) {
        const made = cells[(z * rows.length + y) * columns.length + x];
        if (made) place(sheet, made, { left: left + x * (cell.width + gap), top, ...cell });
      }
      top += cell.height + gap;
    }
    top += gap;
  }
  return sheet;
}

function place(sheet: Raster, made: Raster, at: Size & { readonly left: number; readonly top: number }): void {
  const picture = shrunkTo(rgbOf(made), Math.max(at.width, at.height));
  paste(sheet, picture, {
    left: at.left + Math.floor((at.width - picture.width) / 2),
    top: at.top + Math.floor((at.height - picture.height) / 2),
  });
}

/** A picture whose longer side is at most `side`. */
export function shrunkTo(picture: Raster, side: number): Raster {
  const { width, height } = shrunkSize(picture, side);
  return width === picture.width && height === picture.height ? picture : resize(picture, { width, height });
}

export function shrunkSize({ width, height }: Size, side: number): Size {
  const factor = Math.min(1, side / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}
