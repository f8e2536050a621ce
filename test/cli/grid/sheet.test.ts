import { describe, expect, it } from "vitest";
import { glyphHeight, glyphOf, glyphWidth } from "../../../cli/grid/font.ts";
import { draw, letter } from "../../../cli/grid/lettering.ts";
import { drawSheet, layOut, shrunkTo } from "../../../cli/grid/sheet.ts";
import { blank, type Raster } from "../../../model/image/index.ts";

const ascii = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));

function flat(size: number, value: number): Raster {
  const raster = blank({ width: size, height: size }, 3);
  raster.data.fill(value);
  return raster;
}

function dotsOf(raster: Raster): string[] {
  return Array.from({ length: raster.height }, (_, y) =>
    Array.from({ length: raster.width }, (_, x) => (raster.data[(y * raster.width + x) * 3] === 0 ? "#" : ".")).join(""),
  );
}

describe("letters", () => {
  it("has every character of ASCII, no two alike, and a box for others", () => {
    const shapes = ascii.map((character) => glyphOf(character));
    for (const shape of shapes) {
      expect(shape.length).toBe(glyphHeight);
      expect(shape.every((row) => row.length === glyphWidth && /^[.#]+$/.test(row))).toBe(true);
    }
    expect(new Set([...shapes, glyphOf("\u6f22")].map((shape) => shape.join())).size).toBe(96);
    expect(glyphOf("T").slice(0, 3)).toEqual(["#####", "..#..", "..#.."]);
  });

  it("breaks at blanks, within long words, and says where it stopped", () => {
    const columns = (count: number) => count * (glyphWidth + 1);
    expect(letter("a red fox sits", { width: columns(7), scale: 1 }).lines).toEqual(["a red", "fox", "sits"]);
    expect(letter("dpmpp_2m_sde_heun", { width: columns(6), scale: 1 }).lines).toEqual(["dpmpp_", "2m_sde", "_heun"]);
    expect(letter("one two three four", { width: columns(6), scale: 1, lines: 2 }).lines).toEqual(["one", "two..."]);
    expect(letter("Zoë", { width: 100, scale: 1 }).lines).toEqual(["Zoe"]);
    expect(letter("", { width: 100, scale: 1 })).toMatchObject({ lines: [], width: 0, height: 0 });
  });

  it("draws what the letters show, at every scale", () => {
    for (const scale of [1, 2]) {
      const label = letter("Tj", { width: 60, scale });
      const target = blank({ width: label.width, height: label.height }, 3);
      target.data.fill(255);
      draw(target, label, { left: 0, top: 0, width: label.width });
      const rows = dotsOf(target)
        .filter((_, y) => y % scale === 0)
        .map((row) => [...row].filter((_, x) => x % scale === 0).join(""));
      expect(rows.slice(1, 1 + glyphHeight)).toEqual(glyphOf("T").map((row, y) => `${row}.${glyphOf("j")[y]}`));
    }
  });
});

describe("a sheet", () => {
  it("puts each cell where its labels are: x across, y down, z in blocks", () => {
    const labels = { x: ["1", "2", "3"], y: ["a", "b"], z: ["I", "II"] };
    const layout = layOut(labels, { width: 16, height: 16 });
    const sheet = drawSheet(
      layout,
      Array.from({ length: 12 }, (_, index) => flat(16, 10 * (index + 1))),
    );
    // Reading the sheet row by row meets the cells' colours in the order x, y, z.
    const met = [...new Set([...sheet.data].filter((value) => value > 0 && value < 255))];
    expect(met).toEqual(Array.from({ length: 12 }, (_, index) => 10 * (index + 1)));
    const area = (value: number) => [...sheet.data].filter((one) => one === value).length / 3;
    expect(met.map(area)).toEqual(met.map(() => 16 * 16));
    expect(area(0)).toBeGreaterThan(50); // the labels
  });

  it("has no room for labels that there are not, and centres smaller cells", () => {
    const layout = layOut({ x: ["", ""], y: [""], z: [""] }, { width: 32, height: 32 });
    expect([layout.margin, layout.header]).toEqual([0, 0]);
    const sheet = drawSheet(layout, [flat(32, 7), flat(16, 9)]);
    expect([...sheet.data].filter((value) => value === 9).length / 3).toBe(256);
  });

  it("keeps everything within the picture", () => {
    const layout = layOut(
      { x: ["a very long label for a small cell", "b"], y: ["another long label ".repeat(12), "c"], z: ["title"] },
      { width: 64, height: 64 },
    );
    const sheet = drawSheet(
      layout,
      [1, 2, 3, 4].map((value) => flat(64, value)),
    );
    for (const value of [1, 2, 3, 4]) expect([...sheet.data].filter((one) => one === value).length / 3).toBe(64 * 64);
  });

  it("shrinks to a longer side, and never grows", () => {
    const tall = blank({ width: 40, height: 80 }, 3);
    expect(shrunkTo(tall, 40)).toMatchObject({ width: 20, height: 40 });
    expect(shrunkTo(tall, 100)).toBe(tall);
  });

  it("refuses a sheet that no PNG of ours holds", () => {
    const many = Array.from({ length: 200 }, (_, index) => String(index));
    expect(() => layOut({ x: many, y: ["a"], z: [""] }, { width: 512, height: 512 })).toThrow(
      expect.objectContaining({ code: "GRID_TOO_LARGE" }),
    );
  });
});
