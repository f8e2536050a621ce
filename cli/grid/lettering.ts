/** @file Lines of text in a picture: how a label breaks into lines, how large it is, and its dots. */
import type { Raster } from "../../model/image/index.ts";
import { glyphHeight, glyphOf, glyphWidth } from "./font.ts";

/** Dots from one character to the next, and from one line to the next. */
const advance = glyphWidth + 1;
const lineHeight = glyphHeight + 2;

/** A label, broken into lines. */
export interface Lettering {
  readonly lines: readonly string[];
  /** Pixels of one dot. */
  readonly scale: number;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
}

/** Breaks a text at blanks, and words that are too long anywhere, into lines of at most `width` pixels; of too many the last ends in "...". */
export function letter(
  text: string,
  { width, scale, lines: most = 8 }: { width: number; scale: number; lines?: number },
): Lettering {
  const columns = Math.max(1, Math.floor((width / scale + 1) / advance));
  const wrapped = wrap(drawable(text), columns);
  const lines = wrapped.length <= most ? wrapped : [...wrapped.slice(0, most - 1), shortened(wrapped[most - 1]!, columns)];
  const longest = Math.max(0, ...lines.map((line) => line.length));
  return { lines, scale, width: Math.max(0, longest * advance - 1) * scale, height: lines.length * lineHeight * scale };
}

/** Draws in black, each line centred within `width` pixels from `left`. */
export function draw(
  target: Raster,
  { lines, scale }: Lettering,
  { left, top, width }: { left: number; top: number; width: number },
): void {
  for (const [index, line] of lines.entries()) {
    const start = left + Math.max(0, Math.floor((width - (line.length * advance - 1) * scale) / 2));
    [...line].forEach((character, column) => {
      const at = { left: start + column * advance * scale, top: top + (index * lineHeight + 1) * scale };
      for (const [y, row] of glyphOf(character).entries()) {
        for (let x = 0; x < glyphWidth; x++) if (row[x] === "#") fill(target, at.left + x * scale, at.top + y * scale, scale);
      }
    });
  }
}

function fill({ width, height, channels, data }: Raster, left: number, top: number, size: number): void {
  for (let y = top; y < Math.min(top + size, height); y++) {
    for (let x = left; x < Math.min(left + size, width); x++)
      data.fill(0, (y * width + x) * channels, (y * width + x + 1) * channels);
  }
}

/** What the font has: letters lose their accents, a character it lacks becomes one box. */
function drawable(text: string): string {
  const plain = text.normalize("NFKD").replace(/\p{M}+/gu, "");
  return [...plain].map((character) => (/^[ -~]$/.test(character) ? character : /\s/.test(character) ? " " : "\u007f")).join("");
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").filter((one) => one !== "")) {
    let rest = word;
    if (line !== "" && line.length + 1 + rest.length <= columns) {
      line = `${line} ${rest}`;
      continue;
    }
    if (line !== "") lines.push(line);
    for (; rest.length > columns; rest = rest.slice(columns)) lines.push(rest.slice(0, columns));
    line = rest;
  }
  return line === "" ? lines : [...lines, line];
}

function shortened(line: string, columns: number): string {
  return `${line.slice(0, Math.max(0, columns - 3))}...`.slice(0, columns);
}
