/** @file `limn upscale` and the options of the hires pass. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { upscalerFile, upscalerLabel } from "../../cli/pictures/hires.ts";
import { decodePng, encodePng } from "../../cli/png/png.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { Txt2imgOptions, UpscaleOptions } from "../../cli/syntax/options.ts";
import type { LimnError } from "../../engine/errors.ts";
import { resize } from "../../model/image/index.ts";
import { fileOf, srvggNetwork } from "../upscale/networks.ts";
import { build, errorLines, limn, temporaryFolder } from "./limn.ts";

function upscale(...words: string[]): UpscaleOptions {
  const invocation = parseArguments(["upscale", ...words], "1");
  if (invocation.command !== "upscale") throw new Error(`parsed as ${invocation.command}`);
  return invocation.options;
}

function hires(...words: string[]): Txt2imgOptions["hires"] {
  const invocation = parseArguments(["x", ...words], "1");
  if (invocation.command !== "txt2img") throw new Error(`parsed as ${invocation.command}`);
  return invocation.options.hires;
}

function codeOf(parse: () => unknown): string {
  try {
    parse();
  } catch (error) {
    return (error as LimnError).code;
  }
  return "accepted";
}

describe("arguments of upscale", () => {
  it("have usual values", () => {
    expect(upscale("a.png")).toMatchObject({
      picture: "a.png",
      model: undefined,
      upscaler: "lanczos",
      tile: 192,
      tileOverlap: 8,
    });
    expect(
      upscale("a.png", ..."-m x.pth --scale 2.5 --tile 256 --tile-overlap 16 --bg black -o b.png --overwrite".split(" ")),
    ).toMatchObject({
      model: "x.pth",
      scale: 2.5,
      tile: 256,
      tileOverlap: 16,
      background: [0, 0, 0],
      output: "b.png",
      overwrite: true,
    });
  });

  it.each([
    ["MISSING_ARGUMENT"],
    ["INVALID_SCALE", "a", "--scale", "0.5"],
    ["INVALID_SCALE", "a", "--scale", "x"],
    ["INVALID_TILE", "a", "--tile", "16"],
    ["INVALID_TILE_OVERLAP", "a", "--tile-overlap", "-1"],
    ["INVALID_UPSCALER", "a", "--upscaler", "magic"],
    ["INVALID_OUTPUT", "a", "-o", ""],
    ["OPTIONS_CONFLICT", "a", "-m", "x", "--upscaler", "nearest"],
    ["OPTIONS_CONFLICT", "a", "-o", "-", "--json"],
  ])("%s: %s", (code, ...words) => expect(codeOf(() => upscale(...words))).toBe(code));
});

describe("arguments of the hires pass", () => {
  it("make one where a size is given", () => {
    expect(hires()).toBeUndefined();
    expect(hires("--hires-scale", "1.5")).toMatchObject({ scale: 1.5, upscaler: "latent", denoise: undefined });
    const words =
      "--hires-size 1024x0 --hires-steps 9 --hires-denoise .4 --hires-upscaler Lanczos --hires-sampler heun --hires-schedule karras";
    expect(hires(...words.split(" "), "--hires-prompt", "a b", "--hires-negative", "c", "--hires-guidance", "3")).toEqual({
      scale: undefined,
      size: { width: 1024, height: 0 },
      steps: 9,
      denoise: 0.4,
      upscaler: "Lanczos",
      sampler: "heun",
      schedule: "karras",
      prompt: "a b",
      negative: "c",
      guidance: 3,
    });
  });

  it("take 0 steps for as many as the first pass has (A1111, stable-diffusion.cpp)", () => {
    expect(hires("--hires-scale", "2", "--hires-steps", "0")).toEqual(hires("--hires-scale", "2"));
  });

  it.each([
    ["HIRES_INCOMPLETE", "--hires-steps", "5"],
    ["HIRES_INCOMPLETE", "--hires-upscaler", "latent"],
    ["OPTIONS_CONFLICT", "--hires-scale", "2", "--hires-size", "512x512"],
    ["INVALID_HIRES_SCALE", "--hires-scale", "9"],
    ["INVALID_HIRES_SIZE", "--hires-size", "0x0"],
    ["INVALID_HIRES_SIZE", "--hires-size", "512"],
    ["INVALID_HIRES_STEPS", "--hires-steps", "-1"],
    ["INVALID_HIRES_DENOISE", "--hires-denoise", "2"],
    ["INVALID_HIRES_GUIDANCE", "--hires-guidance", "-1"],
  ])("%s: %s", (code, ...words) => expect(codeOf(() => hires(...words))).toBe(code));

  it("know upscalers by name, by label and by file", () => {
    const labels = ["latent", "Latent (nearest-exact)", "latent-bicubic-antialiased", "none", "Lanczos", "dir/4x_foo.pth"];
    expect(labels.map((upscaler) => upscalerLabel({ upscaler }))).toEqual([
      "Latent",
      "Latent (nearest-exact)",
      "Latent (bicubic antialiased)",
      "None",
      "Lanczos",
      "4x_foo",
    ]);
    expect(labels.map((upscaler) => upscalerFile({ upscaler })).filter((path) => path !== undefined)).toEqual(["dir/4x_foo.pth"]);
  });
});

describe("limn upscale", () => {
  const folder = temporaryFolder();
  const picture = join(folder, "small.png");
  const data = Uint8Array.from({ length: 3 * 20 * 12 }, (_, i) => (i * 7) % 256);
  beforeAll(async () => {
    build();
    writeFileSync(picture, encodePng({ width: 20, height: 12, data }, { parameters: "a fox\nSteps: 3" }));
    const file = await fileOf(srvggNetwork({ features: 8, convolutions: 3, scale: 2 }));
    writeFileSync(join(folder, "2x_test.safetensors"), await file.source.read(0, file.source.size));
  }, 300_000);

  it("resamples as PIL does, and keeps what the picture says of itself", async () => {
    const { code, stdout } = await limn(["upscale", picture, "--json"], { cwd: folder });
    expect(code).toBe(0);
    expect(JSON.parse(stdout.toString())).toMatchObject({
      path: "small-40x24.png",
      width: 40,
      height: 24,
      upscaler: "Lanczos",
      scale: 2,
    });
    const { texts, data: made } = decodePng(readFileSync(join(folder, "small-40x24.png")));
    expect([...texts]).toEqual([
      ["parameters", "a fox\nSteps: 3"],
      ["postprocessing", "Postprocess upscale by: 2, Postprocess upscaler: Lanczos"],
    ]);
    expect(Uint8Array.from(made.filter((_, i) => i % 4 !== 3))).toEqual(
      resize({ width: 20, height: 12, channels: 3, data }, { width: 40, height: 24 }).data,
    );
  });

  it("runs a network, more than once where that is needed, and to any size", async () => {
    const words = ["upscale", picture, "-m", "2x_test.safetensors", "--scale", "3", "-o", "-"];
    const { code, stdout, stderr } = await limn(words, { cwd: folder });
    expect([code, stderr.includes("error")]).toEqual([0, false]);
    const { width, height, texts } = decodePng(stdout);
    expect([width, height, texts.get("postprocessing")]).toEqual([
      60,
      36,
      "Postprocess upscale by: 3, Postprocess upscaler: 2x_test",
    ]);
  });

  it("says what is wrong, and leaves no file", async () => {
    const cases = [
      [["nowhere.png"], "FS_NOT_FOUND", 4],
      [[picture, "-m", "nowhere.pth"], "FS_NOT_FOUND", 4],
      [[picture, "-m", picture], "NOT_SAFETENSORS", 3],
      [[picture, "-o", "small-40x24.png"], "OUTPUT_EXISTS", 4],
      [[picture, "-o", "no/folder.png"], "OUTPUT_FOLDER", 4],
      [["2x_test.safetensors"], "IMAGE_KIND", 10],
    ] as const;
    for (const [words, expected, exit] of cases) {
      const { code, stderr } = await limn(["upscale", ...words], { cwd: folder });
      expect([errorLines(stderr).code, code]).toEqual([expected, exit]);
    }
  });
});
