import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { readStyles, withStyles } from "../../cli/pictures/styles.ts";
import type { PictureOptions } from "../../cli/syntax/options.ts";
import { LimnError } from "../../engine/errors.ts";
import { temporaryFolder } from "./limn.ts";

vi.mock(import("../../cli/version.ts"), () => ({ packageVersion: "0" }));

const folder = temporaryFolder();
const stylesFile = join(folder, "styles.csv");
writeFileSync(
  stylesFile,
  '\ufeffname,prompt,negative_prompt\r\nPlain,flat colours,shading\r\nFramed,"a painting of {prompt}, in a\nframe",\r\n# a comment,no,no\r\n,,\r\nDark,,"{prompt}, light, sun"\r\n',
);

async function styled(styles: string[], prompt: string, negative = ""): Promise<[string, string]> {
  const options = { prompt, negative, styles, stylesFile } as unknown as PictureOptions;
  const result = await withStyles(options);
  return [result.prompt, result.negative];
}

describe("styles", () => {
  it("reads A1111's file: quotes with line breaks, a byte order mark, comments", async () => {
    expect((await readStyles(stylesFile)).map(({ name }) => name)).toEqual(["Plain", "Framed", "Dark"]);
  });

  it("stands behind the prompt, or around it", async () => {
    expect(await styled(["Plain"], "a fox")).toEqual(["a fox, flat colours", "shading"]);
    expect(await styled(["Plain"], " ", "blur ")).toEqual(["flat colours", "blur, shading"]);
    expect(await styled(["Framed"], "a fox", "x")).toEqual(["a painting of a fox, in a\nframe", "x"]);
    expect(await styled(["Dark"], "a fox", "rain")).toEqual(["a fox", "rain, light, sun"]);
  });

  it("takes several, one after the other, and None for none", async () => {
    expect(await styled(["Plain", "None", "Framed"], "a fox")).toEqual([
      "a painting of a fox, flat colours, in a\nframe",
      "shading",
    ]);
    expect(await styled([], "a fox", "b")).toEqual(["a fox", "b"]);
  });

  it("puts a prompt in as it is written", async () => {
    expect((await styled(["Framed"], "$& and $1"))[0]).toContain("a painting of $& and $1,");
  });

  it("names the nearest style, and says what is wrong with a file", async () => {
    const unknown = await styled(["framd"], "a").catch((error: unknown) => error);
    expect(unknown).toBeInstanceOf(LimnError);
    expect([(unknown as LimnError).code, (unknown as LimnError).hint]).toEqual(["UNKNOWN_STYLE", 'did you mean "Framed"?']);
    const other = join(folder, "other.csv");
    writeFileSync(other, "title,text\n");
    await expect(readStyles(other)).rejects.toMatchObject({ code: "STYLES_FILE" });
    await expect(readStyles(join(folder, "none.csv"))).rejects.toMatchObject({ code: "FS_NOT_FOUND" });
  });

  it("reads the column of older files", async () => {
    const older = join(folder, "older.csv");
    writeFileSync(older, "name,text\nold,of old\n");
    expect(await readStyles(older)).toEqual([{ name: "old", prompt: "of old", negative: "" }]);
  });
});
