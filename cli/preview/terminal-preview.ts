/** @file The preview in the terminal: a block of lines above the progress line, drawn over again and again. */
import type { Raster } from "../../model/image/index.ts";
import { encodePng } from "../png/png.ts";
import { halfBlocks } from "./half-blocks.ts";
import { type Cells, iterm2Image, kittyImage } from "./inline-images.ts";
import type { TerminalKind } from "./terminal-kind.ts";

/** Characters that a preview is wide at most. */
const mostColumns = 48;

export interface TerminalPreviewOptions {
  readonly kind: TerminalKind;
  readonly allColours: boolean;
  /** Characters and lines that the terminal has. */
  readonly columns: number;
  readonly lines: number;
  write(text: string): void;
  /** Number of the first image in the terminal: no other program's, as an image of the same number goes. */
  readonly imageId: number;
}

export class TerminalPreview {
  readonly #options: TerminalPreviewOptions;
  /** Lines that the last preview took; the cursor is on the line below them. */
  #drawn = 0;
  /** Pictures before this one. */
  #kept = 0;

  constructor(options: TerminalPreviewOptions) {
    this.#options = options;
  }

  /** Draws over the last preview. The cursor's line must be empty; it is again afterwards. */
  show(picture: Raster): void {
    const cells = this.#cellsFor(picture);
    const { write } = this.#options;
    if (this.#drawn === cells.rows) write(`\u001b[${cells.rows}A`);
    else write(`${"\n".repeat(cells.rows)}\u001b[${cells.rows}A`); // makes room, so that nothing scrolls while it is drawn
    write(`\r${this.#drawing(picture, cells)}`);
    this.#drawn = cells.rows;
  }

  /** The next preview is drawn below this one: another picture begins. */
  keep(): void {
    this.#drawn = 0;
    this.#kept++;
  }

  #cellsFor({ width, height }: Raster): Cells {
    // A character is about twice as high as wide.
    const { columns, lines } = this.#options;
    const most = Math.max(2, Math.min(mostColumns, columns - 1, Math.floor((2 * (lines - 2) * width) / height)));
    return { columns: most, rows: Math.max(1, Math.round((most * height) / width / 2)) };
  }

  #drawing(picture: Raster, cells: Cells): string {
    const { kind, allColours, imageId } = this.#options;
    if (kind === "blocks") return `${halfBlocks(picture, cells, allColours).join("\r\n")}\r\n`;
    const png = encodePng(picture);
    const image = kind === "kitty" ? kittyImage(png, cells, imageId + this.#kept) : iterm2Image(png, cells);
    return `\u001b7${image}\u001b8${"\n".repeat(cells.rows)}`;
  }
}
