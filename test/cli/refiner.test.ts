import { createHash } from "node:crypto";
import { copyFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readPictureTexts } from "../../cli/metadata/picture-texts.ts";
import { recipeOf } from "../../cli/metadata/recognise.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import { embeddedModel } from "../reliability/picture.ts";
import { build, limn, ownCache, temporaryFolder } from "./limn.ts";

const options = (...args: string[]) => parseArguments([...args, "fox"], "0").options;

describe("the options", () => {
  it("name a file and where it takes over", () => {
    expect(options("--refiner", "r.safetensors")).toMatchObject({ refiner: "r.safetensors", refinerAt: undefined });
    expect(options("--refiner", "r.safetensors", "--refiner-at", "0.65")).toMatchObject({ refinerAt: 0.65 });
  });

  it.each([
    [["--refiner-at", "0.5"], "REFINER_INCOMPLETE"],
    [["--refiner", "r.safetensors", "--refiner-at", "1.5"], "INVALID_REFINER_AT"],
    [["--refiner", "r.safetensors", "--refiner-at", "half"], "INVALID_REFINER_AT"],
  ])("%j: %s", (args, code) => {
    expect(() => options(...args)).toThrow(expect.objectContaining({ code, hint: expect.any(String) }));
  });
});

describe("a picture with a refiner", () => {
  const folder = temporaryFolder();
  const refiner = join(folder, "refiner.safetensors");
  const picture = join(folder, "p.png");
  const env = ownCache(join(folder, "cache"));
  const small = ["-W", "64", "-H", "64", "-s", "4", "--seed", "3", "--sampler", "euler"];
  beforeAll(async () => {
    build();
    copyFileSync(embeddedModel, refiner);
    const made = await limn(["a red fox", ...small, "--refiner", refiner, "--refiner-at", "0.5", "-o", picture], { env });
    expect(made.code, made.stderr).toBe(0);
  }, 120_000);

  it("says so in both of its texts", async () => {
    const { texts } = await readPictureTexts(picture);
    const hash = createHash("sha256").update(readFileSync(refiner)).digest("hex");
    expect(texts.get("parameters")).toContain(`Refiner: refiner [${hash.slice(0, 10)}], Refiner switch at: 0.5`);
    const recipe = recipeOf(texts)!;
    expect([recipe.refiner?.hash, recipe.settings.refinerAt]).toEqual([hash, 0.5]);
  });

  it("can be made again", async () => {
    const again = await limn(["reproduce", picture, "--model-dir", folder, "--json"], { env });
    expect(again.code, again.stderr).toBe(0);
    expect(JSON.parse(again.stdout.toString())).toMatchObject({ identical: true });
  });

  it("is the model's own picture where the refiner is that model", async () => {
    const alone = join(folder, "alone.png");
    const made = await limn(["a red fox", ...small, "-o", alone], { env });
    expect(made.code, made.stderr).toBe(0);
    const pixels = (path: string) => pngPixels(readFileSync(path));
    expect(pixels(alone).equals(pixels(picture))).toBe(true);
  });
});

/** The IDAT chunks, one behind the other. */
function pngPixels(png: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at);
    if (png.toString("latin1", at + 4, at + 8) === "IDAT") parts.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  return Buffer.concat(parts);
}
