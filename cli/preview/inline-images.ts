/** @file Pictures in terminals that show them: the escape sequences of kitty's graphics protocol and of iTerm2's inline images. */

/** kitty takes at most so many characters of base64 at once. */
const chunk = 4096;
export interface Cells {
  readonly columns: number;
  readonly rows: number;
}

/**
 * A PNG over `cells`, drawn at the cursor, which stays; no answers (sw.kovidgoyal.net/kitty/graphics-protocol). It takes the place of the
 * image of this id, wherever that stands: 1 .. 2^32 - 1.
 */
export function kittyImage(png: Buffer, { columns, rows }: Cells, id: number): string {
  const data = png.toString("base64");
  const parts: string[] = [];
  for (let at = 0; at < data.length; at += chunk) {
    const more = at + chunk < data.length ? 1 : 0;
    const keys = at === 0 ? `a=T,f=100,i=${id},p=1,c=${columns},r=${rows},C=1,q=2,m=${more}` : `q=2,m=${more}`;
    parts.push(`\u001b_G${keys};${data.slice(at, at + chunk)}\u001b\\`);
  }
  return parts.join("");
}

/** A PNG over `cells` (iterm2.com/documentation-images.html). The cursor moves. */
export function iterm2Image(png: Buffer, { columns, rows }: Cells): string {
  const keys = `inline=1;size=${png.length};width=${columns};height=${rows};preserveAspectRatio=0`;
  return `\u001b]1337;File=${keys}:${png.toString("base64")}\u0007`;
}
