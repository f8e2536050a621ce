/** @file --embedding-dir, --hypernet and --hypernet-dir: their syntax, and the files behind them. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { EmbeddingShelf, embeddingReferences } from "../../cli/addons/embeddings.ts";
import { HypernetworkLibrary } from "../../cli/addons/hypernetworks.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";

const fixtures = fileURLToPath(new URL("../fixtures/pickle/", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "limn-networks-"));
afterAll(() => rmSync(folder, { recursive: true }));
for (const name of ["one", "two"]) mkdirSync(join(folder, name));
copyFileSync(`${fixtures}web-ui.pt`, join(folder, "one", "fox style.pt"));
copyFileSync(`${fixtures}kohya.pt`, join(folder, "two", "fox style.pt"));
copyFileSync(`${fixtures}sdxl.pt`, join(folder, "two", "ink.pt"));
copyFileSync(`${fixtures}hypernetwork.pt`, join(folder, "one", "anime.pt"));
writeFileSync(join(folder, "one", "broken.pt"), "nothing");

function parse(...args: string[]) {
  const invocation = parseArguments(["a red fox", ...args], "1.0.0");
  if (invocation.command !== "txt2img") throw new Error(invocation.command);
  return invocation.options;
}

describe("syntax", () => {
  test("folders and files may be given several times", () => {
    expect(parse("--embedding-dir", "a", "--embedding-dir", "b").embeddingDirs).toEqual(["a", "b"]);
    const { hypernets, hypernetDirs } = parse("--hypernet", "x.pt:0.5", "--hypernet", "/y/z.pt", "--hypernet-dir", "h");
    expect(hypernets).toEqual([
      { path: "x.pt", strength: 0.5 },
      { path: "/y/z.pt", strength: 1 },
    ]);
    expect(hypernetDirs).toEqual(["h"]);
    expect([parse().embeddingDirs, parse().hypernets, parse().hypernetDirs]).toEqual([[], [], []]);
  });

  test.each([
    ["C:\\nets\\a.pt:-1.5", { path: "C:\\nets\\a.pt", strength: -1.5 }],
    ["a.pt.pt: 2 ", { path: "a.pt.pt", strength: 2 }],
    ["no ending", { path: "no ending", strength: 1 }],
  ])("%s", (text, expected) => {
    expect(parse("--hypernet", text).hypernets).toEqual([expected]);
  });

  test.each(["", "a.pt:", "a.pt:1,0", "a.pt:11", "a.pt:NaN", "a.pt:1:2"])("--hypernet %j is refused", (text) => {
    expect(() => parse(`--hypernet=${text}`)).toThrow(
      expect.objectContaining({ code: "INVALID_HYPERNET", hint: expect.any(String) }),
    );
  });
});

describe("textual inversions", () => {
  test("of one name the first folder's counts; hashes of those that were used", async () => {
    const shelf = new EmbeddingShelf();
    const choice = { embeddingDirs: [join(folder, "one"), join(folder, "two")] };
    const named = await shelf.namedIn(choice, ["a fox style fox", undefined, "ink"]);
    expect(named?.names).toEqual([
      { name: "ink", vectors: 3 },
      { name: "fox style", vectors: 3 },
    ]);
    const [reference] = embeddingReferences(["fox style"], named);
    expect(reference).toEqual({ name: "fox style", hash: expect.stringMatching(/^[0-9a-f]{64}$/), hashed: "file" });
    expect((await named?.vectors("fox style", [8], 0))?.length).toBe(24);
  });

  test("without a folder there are none; a folder that is not there is an error", async () => {
    const shelf = new EmbeddingShelf();
    expect(await shelf.namedIn({ embeddingDirs: [] }, ["fox"])).toBeUndefined();
    await expect(shelf.namedIn({ embeddingDirs: [join(folder, "none")] }, ["fox"])).rejects.toMatchObject({
      code: "FS_NOT_FOUND",
    });
  });
});

describe("hypernetworks", () => {
  const choice = { hypernets: [], hypernetDirs: [join(folder, "one")] };

  test("by file and by name, opened once", async () => {
    const library = new HypernetworkLibrary();
    const { hypernetworks, findHypernetwork } = await library.request({
      ...choice,
      hypernets: [{ path: join(folder, "one", "anime.pt"), strength: 0.5 }],
    });
    const found = await findHypernetwork!("anime");
    expect(found).toBe(hypernetworks[0]!.hypernetwork);
    expect(found.widths).toEqual([4, 8]);
    const references = await library.references([...hypernetworks, { hypernetwork: found, strength: 0.3, tag: "anime" }]);
    const hash = expect.stringMatching(/^[0-9a-f]{64}$/);
    expect(references).toEqual([
      { name: "anime", hash, hashed: "file", textEncoder: 0.5 },
      { name: "anime", hash, hashed: "file" },
    ]);
    await library.close();
  });

  test.each([
    ["a fox <hypernet:anime:0.4>", "none"],
    ["a fox <hypernet:anine>", "HYPERNET_UNKNOWN"],
    ["a fox <hypernet:../one/anime>", "INVALID_PROMPT_TAG"],
    ["a fox <hypernet:broken>", "NOT_A_HYPERNETWORK"],
    ["# <hypernet:none>", "none"],
  ])("%s: %s, before a model is loaded", async (prompt, code) => {
    const library = new HypernetworkLibrary();
    const failed = await library.expectKnown({ ...choice, prompt }).then(
      () => ({ code: "none" }),
      (error: unknown) => error,
    );
    expect(failed).toMatchObject({ code });
    await library.close();
  });

  test("a tag without a folder; a tag that is text, as diffusers has it", async () => {
    const library = new HypernetworkLibrary();
    const none = { hypernets: [], hypernetDirs: [], prompt: "<hypernet:x>" };
    await expect(library.expectKnown(none)).rejects.toMatchObject({ code: "HYPERNET_DIR_MISSING" });
    await library.expectKnown({ ...none, compat: "diffusers" });
  });
});
