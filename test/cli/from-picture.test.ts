/** @file `limn img2img` and `limn inpaint`: their arguments, what they write, and the text in it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng, encodePng, readPngTexts } from "../../cli/png/png.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { Img2imgOptions, InpaintOptions } from "../../cli/syntax/options.ts";
import type { LimnError } from "../../engine/errors.ts";
import { build, errorLines, limn, temporaryFolder } from "./limn.ts";

function img2img(...argv: string[]): Img2imgOptions {
  const invocation = parseArguments(["img2img", ...argv], "1");
  if (invocation.command !== "img2img") throw new Error(`parsed as ${invocation.command}`);
  return invocation.options;
}

function inpaint(...argv: string[]): InpaintOptions {
  const invocation = parseArguments(["inpaint", ...argv], "1");
  if (invocation.command !== "inpaint") throw new Error(`parsed as ${invocation.command}`);
  return invocation.options;
}

function codeOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    return (error as LimnError).code;
  }
  return "accepted";
}

describe("arguments", () => {
  it("takes txt2img's options and its own, with usual values", () => {
    expect(img2img("a fox", "--init", "a.png", "-s", "12", "-W", "64")).toMatchObject({
      prompt: "a fox",
      init: "a.png",
      steps: 12,
      width: 64,
      strength: undefined,
      stepRule: "scaled",
      resizeMode: "stretch",
      imageGuidance: undefined,
      background: [255, 255, 255],
    });
    expect(
      img2img(
        "x",
        ..."--init a --strength .5 --img2img-steps exact --resize-mode fill --image-guidance 2 --bg #010203".split(" "),
      ),
    ).toMatchObject({ strength: 0.5, stepRule: "exact", resizeMode: "fill", imageGuidance: 2, background: [1, 2, 3] });
    expect(inpaint("x", "--init", "a", "--mask", "m")).toMatchObject({
      mask: "m",
      maskBlur: 4,
      maskInvert: false,
      fill: "original",
      onlyMasked: false,
      padding: 32,
    });
    expect(
      inpaint("x", ..."--init a --mask m --mask-blur 0 --mask-invert --fill noise --only-masked --padding 8".split(" ")),
    ).toMatchObject({ maskBlur: 0, maskInvert: true, fill: "noise", onlyMasked: true, padding: 8 });
  });

  it.each([
    ["MISSING_ARGUMENT", () => img2img("x")],
    ["MISSING_ARGUMENT", () => inpaint("x", "--init", "a")],
    ["INVALID_STRENGTH", () => img2img("x", "--init", "a", "--strength", "1.01")],
    ["INVALID_STRENGTH", () => img2img("x", "--init", "a", "--strength", "-0.1")],
    ["INVALID_STRENGTH", () => img2img("x", "--init", "a", "--strength", "NaN")],
    ["INVALID_IMG2IMG_STEPS", () => img2img("x", "--init", "a", "--img2img-steps", "some")],
    ["INVALID_RESIZE_MODE", () => img2img("x", "--init", "a", "--resize-mode", "squash")],
    ["INVALID_IMAGE_GUIDANCE", () => img2img("x", "--init", "a", "--image-guidance", "1e9")],
    ["INVALID_BG", () => img2img("x", "--init", "a", "--bg", "whitish")],
    ["INVALID_MASK_BLUR", () => inpaint("x", "--init", "a", "--mask", "m", "--mask-blur", "-1")],
    ["INVALID_FILL", () => inpaint("x", "--init", "a", "--mask", "m", "--fill", "void")],
    ["INVALID_PADDING", () => inpaint("x", "--init", "a", "--mask", "m", "--padding", "1.5")],
    ["UNKNOWN_OPTION", () => img2img("x", "--init", "a", "--mask", "m")],
  ])("%s (fault 40)", (code, parse) => {
    expect(codeOf(parse)).toBe(code);
  });
});

describe("limn", () => {
  const folder = temporaryFolder();
  const [init, mask] = [join(folder, "init.png"), join(folder, "mask.png")];
  const data = Uint8Array.from({ length: 72 * 64 * 3 }, (_, i) => (i * 3 + (i >> 8)) & 255);
  beforeAll(() => {
    build();
    writeFileSync(init, encodePng({ width: 72, height: 64, data }));
    const white = data.map((_, i) => (Math.floor(i / 3) % 72 < 20 ? 255 : 0));
    writeFileSync(mask, encodePng({ width: 72, height: 64, data: white }));
  });

  it("inpaints: as large as the picture, the same where the mask is black, with its settings in the file", async () => {
    const out = join(folder, "out.png");
    const ran = await limn(["inpaint", "a red fox", "--init", init, "--mask", mask, "-s", "1", "--seed", "3", "-o", out]);
    expect([ran.code, ran.stderr.includes("error")]).toEqual([0, false]);
    const file = readFileSync(out);
    const made = decodePng(file);
    expect([made.width, made.height]).toEqual([72, 64]);
    for (let p = 0; p < 72 * 64; p++) {
      if (p % 72 < 20 + 3 * 4) continue;
      expect([...made.data.subarray(4 * p, 4 * p + 3)]).toEqual([...data.subarray(3 * p, 3 * p + 3)]);
    }
    expect(readPngTexts(file).get("parameters")).toMatch(/Size: 72x64, .*Denoising strength: 0.75, .*Mask blur: 4, Version/);
  });

  it("takes no step at strength 0", async () => {
    const out = join(folder, "same.png");
    const ran = await limn(["img2img", "a red fox", "--init", init, "--strength", "0", "-o", out, "--json"]);
    expect(ran.code).toBe(0);
    expect(JSON.parse(ran.stdout.toString())).toMatchObject({ stepsPerSecond: 0, images: [{ width: 72, height: 64 }] });
  });

  it("says what is wrong with a picture, exit code 10, and with --strict of a mask's size, exit code 2 (fault 56)", async () => {
    const text = join(folder, "text.png");
    writeFileSync(text, "a red fox");
    const kind = await limn(["img2img", "x", "--init", text]);
    expect([kind.code, errorLines(kind.stderr).code]).toEqual([10, "IMAGE_KIND"]);
    writeFileSync(join(folder, "small.png"), encodePng({ width: 8, height: 8, data: new Uint8Array(192) }));
    const strict = await limn(["inpaint", "x", "--init", init, "--mask", join(folder, "small.png"), "--strict"]);
    expect([strict.code, errorLines(strict.stderr).code]).toEqual([2, "MASK_SIZE"]);
  });
});
