/** @file The file name of a picture that the user did not name: SLUG-SEED.png. */

/** Bytes of UTF-8; a character has at most four. */
const longestSlug = 60;

/** "A red fox, sitting!" -> "a-red-fox-sitting": letters and digits of any script, cut at a word. */
export function slug(prompt: string): string {
  const words = prompt
    .slice(0, 1000)
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .toLowerCase()
    .match(/[\p{L}\p{N}]+/gu);
  let name = "";
  for (const word of words ?? []) {
    // Scripts without blanks make one long word of a whole prompt.
    const longer = name === "" ? [...word].slice(0, longestSlug / 4).join("") : `${name}-${word}`;
    if (Buffer.byteLength(longer) > longestSlug) break;
    name = longer;
  }
  return name === "" ? "picture" : name;
}

export function defaultName(prompt: string, seed: bigint): string {
  return `${slug(prompt)}-${seed}.png`;
}
