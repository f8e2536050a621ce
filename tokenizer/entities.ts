import { entityData, legacyEntityNames } from "./entities-data.ts";
import { characterOfWindows1252 } from "./windows-1252.ts";

interface EntityTable {
  /** Names with their ";", and the legacy names also without it, as in the HTML standard. */
  readonly html: ReadonlyMap<string, string>;
  /** Names without the ";" that they need here: all of HTML's, and the upper-case spelling of the lower-case ones. */
  readonly closed: ReadonlyMap<string, string>;
}

let table: EntityTable | undefined;

function entities(): EntityTable {
  table ??= buildTable();
  return table;
}

function buildTable(): EntityTable {
  const html = new Map<string, string>();
  const closed = new Map<string, string>();
  for (const entry of entityData.trim().split(/\s+/)) {
    const [name = "", codes = ""] = entry.split("=");
    const text = String.fromCodePoint(...codes.split("+").map((code) => Number.parseInt(code, 16)));
    html.set(`${name};`, text);
    closed.set(name, text);
  }
  for (const name of legacyEntityNames.trim().split(/\s+/)) html.set(name, closed.get(name) ?? "");
  for (const [name, text] of [...closed]) {
    const upper = name.toUpperCase();
    if (name === name.toLowerCase() && longestName(`${upper};`, html) === undefined) closed.set(upper, text.toUpperCase());
  }
  return { html, closed };
}

/** The longest of the table's names that `text` begins with; names have at least two characters. */
function longestName(text: string, names: ReadonlyMap<string, string>): string | undefined {
  for (let length = text.length; length > 1; length--) {
    const name = text.slice(0, length);
    if (names.has(name)) return name;
  }
  return undefined;
}

/**
 * The character of a numeric reference by the HTML standard, section 13.2.5.80: NUL, surrogates and numbers beyond Unicode become
 * U+FFFD, 0x80..0x9F are read as Windows-1252. As in Python, control characters and noncharacters are dropped.
 */
function numericReference(code: number): string {
  if (code === 0 || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return "\ufffd";
  if (code >= 0x80 && code <= 0x9f) return characterOfWindows1252(code);
  const control = code < 0x20 && code !== 9 && code !== 10 && code !== 12 && code !== 13;
  const nonCharacter = (code >= 0xfdd0 && code <= 0xfdef) || (code & 0xfffe) === 0xfffe;
  return control || code === 0x7f || nonCharacter ? "" : String.fromCodePoint(code);
}

function parseNumeric(digits: string): number {
  return /^[xX]/.test(digits) ? Number.parseInt(digits.slice(1), 16) : Number.parseInt(digits, 10);
}

/** Decodes character references as Python's `html.unescape` does: also without ";", and a legacy name at the head of a longer word. */
export function unescapeHtml(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(/&(?:#(\d+|[xX][\da-fA-F]+);?|([^\t\n\f <&#;]{1,32};?))/gu, (whole, digits?: string, word?: string) => {
    if (digits !== undefined) return numericReference(parseNumeric(digits));
    const { html } = entities();
    const name = longestName(word ?? "", html);
    return name === undefined ? whole : (html.get(name) ?? "") + whole.slice(1 + name.length);
  });
}

/**
 * Decodes the references that end in ";", as ftfy does, until none is left (`&amp;amp;lt;` is `<`).
 * One pass with a stack of the "&" still open, as what a reference decodes to may be part of the one around it.
 */
export function unescapeClosedReferences(text: string): string {
  if (!text.includes("&") || !text.includes(";")) return text;
  const open = [""];
  for (const part of text.split(/(?=&)|(?<=;)/)) {
    if (part.startsWith("&")) open.push(part);
    else open.push(`${open.pop()}${part}`);
    for (let decoded = closedReference(open.at(-1)); decoded !== undefined; decoded = closedReference(open.at(-1))) {
      open.pop();
      if (decoded === "&") open.push(decoded);
      else open.push(`${open.pop()}${decoded}`);
    }
  }
  return open.join("");
}

/** What `text` decodes to if it is one reference, else undefined. A numeric reference to ";" stays as it is, as in ftfy. */
function closedReference(text = ""): string | undefined {
  if (text.length > 27) return undefined;
  const match = /^&(?:#(?=[\da-zA-Z]{1,24};)(\d+|[xX][\da-fA-F]+)|([\da-zA-Z]{1,24}));$/.exec(text);
  if (match === null) return undefined;
  const [, digits, name = ""] = match;
  if (digits === undefined) return entities().closed.get(name);
  const decoded = numericReference(parseNumeric(digits));
  return decoded === ";" ? undefined : decoded;
}
