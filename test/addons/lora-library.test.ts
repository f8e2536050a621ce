/** @file LoRAs by name from a folder: the listing decides, and no name leads out of it (fault 28). */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { LoraLibrary } from "../../cli/addons/loras.ts";
import { FileSystemError, UsageError } from "../../engine/errors.ts";
import { temporaryFolder } from "../cli/limn.ts";
import { addonBytes, random } from "./small-model.ts";

const base = temporaryFolder();
const folder = join(base, "loras");
const outside = join(base, "outside");
const module = "lora_unet_conv_in";

function write(path: string, metadata: Readonly<Record<string, string>> = {}): void {
  writeFileSync(
    path,
    addonBytes(
      { [`${module}.lora_up.weight`]: random(64, 1, 1, 1), [`${module}.lora_down.weight`]: random(1, 4, 3, 3) },
      metadata,
    ),
  );
}

describe("a folder of LoRAs", () => {
  const library = new LoraLibrary();
  const find = async (name: string) => {
    const { findLora } = await library.request({ loras: [], loraDirs: [folder] });
    return findLora!(name);
  };
  const known = (prompt: string, loraDirs: readonly string[] = [folder]) => library.expectKnown({ loras: [], loraDirs, prompt });
  afterEach(() => library.close());

  beforeAll(() => {
    for (const path of [folder, outside, join(folder, "more")]) mkdirSync(path, { recursive: true });
    for (const name of ["style", "Ölbild (v1.5) [final]", "水墨", "with blanks.v2", "CONcrete"])
      write(join(folder, `${name}.safetensors`));
    write(join(folder, "file-name.safetensors"), { ss_output_name: "its own name" });
    write(join(folder, "more", "deeper.safetensors"));
    write(join(outside, "secret.safetensors"));
    writeFileSync(join(folder, "notes.txt"), "style");
    writeFileSync(join(folder, "broken.safetensors"), "style");
    symlinkSync(join(outside, "secret.safetensors"), join(folder, "escape.safetensors"));
    symlinkSync(outside, join(folder, "away"));
    symlinkSync(join(folder, "more", "deeper.safetensors"), join(folder, "inside.safetensors"));
  });

  it.each([
    ["style", "style.safetensors"],
    ["Ölbild (v1.5) [final]", "Ölbild (v1.5) [final].safetensors"],
    ["水墨", "水墨.safetensors"],
    ["with blanks.v2", "with blanks.v2.safetensors"],
    ["its own name", "file-name.safetensors"],
    ["deeper", "deeper.safetensors"],
    ["inside", "deeper.safetensors"],
  ])("knows %s", async (name, file) => {
    expect((await find(name)).name).toMatch(new RegExp(`${file.replaceAll(/[()[\].]/g, "\\$&")}$`));
  });

  it("gives one file one identity, whatever it is called", async () => {
    expect(await find("inside")).toBe(await find("deeper"));
    const { loras } = await library.request({
      loras: [{ path: join(folder, "style.safetensors"), text: 1, unet: 1 }],
      loraDirs: [],
    });
    expect(loras[0]?.lora).toBe(await find("style"));
  });

  it.each(["../outside/secret", "..\\outside\\secret", "/etc/passwd", "~/style", "~", "a\0b", "\\\\server\\share", ""])(
    "<lora:%s:1> is refused as a path",
    async (name) => {
      await expect(known(`a fox <lora:${name}:1>`)).rejects.toMatchObject({ code: "INVALID_PROMPT_TAG" });
    },
  );

  it.each(["escape", "away", "secret", "CON", "C", "notes", "style.safetensors", "Style", "."])(
    "%s is not in it",
    async (name) => {
      const error: unknown = await find(name).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UsageError);
      expect(error).toMatchObject({ code: "LORA_UNKNOWN" });
    },
  );

  it("suggests the nearest name", async () => {
    await expect(find("stlye")).rejects.toMatchObject({ hint: "did you mean <lora:style:1>?" });
    await expect(find("nothing like it")).rejects.toMatchObject({ hint: expect.stringContaining("file's name") });
  });

  it("says what is wrong before a model is loaded", async () => {
    await expect(known("a fox <lora:style:1> <lora:水墨:0.5>")).resolves.toHaveLength(2);
    await expect(known("a fox <lora:none:1>")).rejects.toMatchObject({ code: "LORA_UNKNOWN" });
    await expect(known("a fox <lora:style:1>", [])).rejects.toMatchObject({ code: "LORA_DIR_MISSING" });
    await expect(known("a fox <lora:broken:1>")).rejects.toMatchObject({ code: expect.stringMatching(/^ST_|NOT_/) });
    await expect(known("a fox <lora:style:1>", [join(base, "nowhere")])).rejects.toBeInstanceOf(FileSystemError);
    // Others than A1111 know no tags: it is text.
    await expect(
      library.expectKnown({ loras: [], loraDirs: [], prompt: "<lora:style:1>", compat: "diffusers" }),
    ).resolves.toEqual([]);
  });

  it("tells pictures what was merged", async () => {
    const lora = await find("style");
    const [tagged, given] = await library.references([
      { lora, text: 0.5, unet: 0.5, tag: "style" },
      { lora, text: 0.6, unet: 0.8 },
    ]);
    expect(tagged).toEqual({
      name: "style",
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
      hashed: "weights",
      shortHash: tagged?.hash?.slice(0, 12),
    });
    expect(given).toEqual({ ...tagged, textEncoder: 0.6, unet: 0.8 });
  });
});
