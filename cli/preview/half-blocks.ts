/** @file A picture as text: each character is an upper half block, its colour the upper pixel, its background the lower one. */
import { type Raster, resize } from "../../model/image/index.ts";
import type { Cells } from "./inline-images.ts";

const csi = "\u001b[";

/** RGB -> lines for a terminal, each ending in plain colours; `allColours`: 16 million of them, or 256. */
export function halfBlocks(picture: Raster, { columns, rows }: Cells, allColours: boolean): string[] {
  const { data } = resize(picture, { width: columns, height: 2 * rows }, "bicubic");
  const colour = (x: number, y: number) => {
    const at = 3 * (y * columns + x);
    const rgb = [data[at]!, data[at + 1]!, data[at + 2]!] as const;
    return allColours ? `2;${rgb.join(";")}` : `5;${cube(...rgb)}`;
  };
  return Array.from({ length: rows }, (_, row) => {
    let line = "";
    let before = "";
    for (let x = 0; x < columns; x++) {
      const style = `38;${colour(x, 2 * row)};48;${colour(x, 2 * row + 1)}`;
      line += style === before ? "▀" : `${csi}${style}m▀`;
      before = style;
    }
    return `${line}${csi}0m`;
  });
}

/** The nearest colour of the 6 x 6 x 6 cube in the 256 that xterm has. */
function cube(red: number, green: number, blue: number): number {
  const level = (value: number) => (value < 48 ? 0 : value < 115 ? 1 : Math.floor((value - 35) / 40));
  return 16 + 36 * level(red) + 6 * level(green) + level(blue);
}
