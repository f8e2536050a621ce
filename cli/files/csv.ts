/** @file Comma-separated values (RFC 4180): quotes keep commas and line breaks, two quotes in quotes are one. */

/** Rows of fields. With `trim`, blanks behind a comma are no part of a field. A byte order mark is left out, empty lines too. */
export function parseCsv(text: string, { trim = false }: { readonly trim?: boolean } = {}): string[][] {
  const rows: string[][] = [];
  let row: string[] = [];
  let field = "";
  let quoted = false;
  let started = false;
  const body = text.replace(/^\ufeff/, "");
  const endField = (): void => {
    row.push(field);
    field = "";
    started = false;
  };
  const endRow = (): void => {
    if (row.length > 0 || started || field !== "") {
      endField();
      rows.push(row);
    }
    row = [];
  };
  for (let at = 0; at < body.length; at++) {
    const character = body[at]!;
    if (quoted) {
      if (character !== '"') field += character;
      else if (body[at + 1] === '"') field += body[++at];
      else quoted = false;
    } else if (character === '"' && !started) {
      quoted = true;
      started = true;
    } else if (character === ",") endField();
    else if (character === "\n" || character === "\r") {
      if (character === "\r" && body[at + 1] === "\n") at++;
      endRow();
    } else if (!(trim && !started && character === " ")) {
      field += character;
      started = true;
    }
  }
  endRow();
  return rows;
}
