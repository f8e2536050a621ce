/** @file Textual inversions in pictures: as text, packed into pixels, and pictures that hold none. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { EmbeddingShelf } from "../../cli/addons/embeddings.ts";
import { encodePng } from "../../cli/png/png.ts";
import { embeddingKeyword } from "../../model/addons/embedding-picture.ts";
import { encode, safetensors } from "../checkpoint/build-file.ts";

const folder = mkdtempSync(join(tmpdir(), "limn-embedding-pictures-"));
afterAll(() => rmSync(folder, { recursive: true }));

const rows = [
  [0.5, -0.25, 1, 3],
  [0, 1e-3, -2, 0.125],
];
const json = (tensor: unknown = rows) =>
  JSON.stringify({ string_to_token: { "*": 265 }, string_to_param: { "*": { TORCHTENSOR: tensor } }, name: "x" });

type Pixel = (x: number, y: number) => readonly [number, number, number];
const png = (width: number, height: number, pixel: Pixel, texts: Record<string, string> = {}): Buffer => {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => pixel(Math.floor(i / 3) % width, Math.floor(i / 3 / width))[i % 3]!,
  );
  return encodePng({ width, height, data }, texts);
};
const grey: Pixel = (x, y) => [100 + ((x * 7 + y) % 50), 90, 80];

/** The web UI's way: low halves, black, the picture, black, high halves; every half disguised, with something in the upper bits. */
function packed(text: string, height = 12, border = 0): Buffer {
  const bytes = deflateSync(Buffer.from(text), { level: 9 });
  const width = Math.ceil(bytes.length / (3 * height));
  let seed = 0;
  const masks = Array.from({ length: width * height * 3 }, () => {
    seed = Number((BigInt(seed) * 1664525n + 1013904223n) % 2n ** 32n);
    return (seed % 255) & 15;
  });
  const half =
    (shift: number): Pixel =>
    (x, y) => {
      const at = (y * width + x) * 3;
      const one = (c: number) => (((bytes[(at + c) % bytes.length]! >> shift) & 15) ^ masks[at + c]!) | 0x40;
      return [one(0), one(1), one(2)];
    };
  const middle = 9;
  const inner: Pixel = (x, y) => {
    if (x < width) return half(0)(x, y);
    if (x === width || x === width + 1 + middle) return [0, 0, 0];
    return x <= width + middle ? grey(x, y) : half(4)(x - width - middle - 2, y);
  };
  const whole = 2 * width + middle + 2;
  const isBorder = (x: number, y: number) => x < border || y < border || x >= whole + border || y >= height + border;
  return png(whole + 2 * border, height + 2 * border, (x, y) => (isBorder(x, y) ? [0, 0, 0] : inner(x - border, y - border)));
}

async function read(name: string, bytes: Uint8Array, prompt = name.replace(/\.\w+$/, "")) {
  writeFileSync(join(folder, name), bytes);
  const named = await new EmbeddingShelf().namedIn({ embeddingDirs: [folder] }, [prompt]);
  rmSync(join(folder, name));
  return named!;
}

describe("in pictures", () => {
  const base64 = (text: string) => ({ [embeddingKeyword]: Buffer.from(text).toString("base64") });

  test.each([
    ["as text", png(8, 8, grey, base64(json()))],
    ["in the pixels", packed(json())],
    ["in the pixels, with a black border", packed(json(), 20, 3)],
  ])("%s", async (_, bytes) => {
    const named = await read("zorp.png", bytes);
    expect(named.names).toEqual([{ name: "zorp", vectors: 2 }]);
    expect([...(await named.vectors("zorp", [4], 0))]).toEqual(rows.flat().map(Math.fround));
    expect(named.hash("zorp")).toMatch(/^[0-9a-f]{64}$/);
  });

  test.each([
    ["a picture", png(16, 16, grey)],
    ["a black picture", png(16, 16, () => [0, 0, 0])],
    ["black columns", png(16, 16, (x, y) => (x === 4 || x === 11 ? [0, 0, 0] : grey(x, y)))],
    ["one black column", png(16, 16, (x, y) => (x === 4 ? [0, 0, 0] : grey(x, y)))],
    ["no picture", Buffer.from("nothing")],
  ])("%s holds none, and is no error", async (_, bytes) => {
    expect((await read("zorp.png", bytes)).names).toEqual([]);
  });

  test.each([
    ["no JSON", "{", "NOT_AN_EMBEDDING"],
    ["other JSON", '{"a":1}', "NOT_AN_EMBEDDING"],
    ["rows of two lengths", json([[1, 2], [3]]), "NOT_AN_EMBEDDING"],
    ["what is no number", json([[1, "2"]]), "NOT_AN_EMBEDDING"],
    ["76 vectors", json(Array(76).fill([1, 2])), "EMBEDDING_SHAPE"],
    ["a number beyond f32", json([[1e300, 1]]), "CHECKPOINT_NONFINITE"],
  ])("%s is an error when it is named", async (_, text, code) => {
    const named = await read("zorp.png", png(8, 8, grey, base64(text)));
    await expect(named.vectors("zorp", [2], 0)).rejects.toMatchObject({ code });
  });

  test("a file beside a picture of its name counts", async () => {
    writeFileSync(join(folder, "zorp.png"), png(8, 8, grey, base64(json())));
    const one = { name: "emb_params", dtype: "F32" as const, shape: [1, 4], bytes: encode([1, 2, 3, 4], "F32", Number) };
    const named = await read("zorp.safetensors", safetensors([one]));
    rmSync(join(folder, "zorp.png"));
    expect(named.names).toEqual([{ name: "zorp", vectors: 1 }]);
  });
});
