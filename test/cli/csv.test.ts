import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseCsv } from "../../cli/files/csv.ts";

describe("comma-separated values", () => {
  it.each([
    [
      "a,b\nc,d",
      [
        ["a", "b"],
        ["c", "d"],
      ],
    ],
    [
      "\ufeffname,prompt\r\nx,y\r\n",
      [
        ["name", "prompt"],
        ["x", "y"],
      ],
    ],
    ['"a, b","say ""hi"""\n', [["a, b", 'say "hi"']]],
    [
      'one,"two\r\nlines"\nthree,',
      [
        ["one", "two\r\nlines"],
        ["three", ""],
      ],
    ],
    ["\n\na\n\n", [["a"]]],
    ['""', [[""]]],
    [",", [["", ""]]],
    ["", []],
    ['a"b,c', [['a"b', "c"]]],
  ])("reads %j", (text, rows) => {
    expect(parseCsv(text)).toEqual(rows);
  });

  it("leaves out blanks behind a comma where that is asked for", () => {
    expect(parseCsv('10, 20,  "a, b"', { trim: true })).toEqual([["10", "20", "a, b"]]);
    expect(parseCsv("10, 20")).toEqual([["10", " 20"]]);
  });

  it("reads back what is quoted by the rules", () => {
    const field = fc.string({ unit: "grapheme", maxLength: 8 });
    fc.assert(
      fc.property(fc.array(fc.array(field, { minLength: 1, maxLength: 4 }), { maxLength: 4 }), (rows) => {
        const text = rows.map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(",")).join("\n");
        expect(parseCsv(text)).toEqual(rows);
      }),
    );
  });
});
