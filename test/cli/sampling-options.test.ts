import { describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { Txt2imgOptions } from "../../cli/syntax/options.ts";
import type { LimnError } from "../../engine/errors.ts";

function parse(...args: string[]): Txt2imgOptions {
  const invocation = parseArguments(["a red fox", ...args], "1.0.0");
  if (invocation.command !== "txt2img") throw new Error(invocation.command);
  return invocation.options;
}

function codeOf(...args: string[]): string {
  try {
    parse(...args);
  } catch (error) {
    expect((error as LimnError).hint).toBeTruthy();
    return (error as LimnError).code;
  }
  return "none";
}

describe("options of sampling, prompts and noise", () => {
  it.each([
    [["--sigmas", "14.6, 2.5,0"], { sigmas: [14.6, 2.5, 0] }],
    [["--sigma-min", "0.03", "--sigma-max", "10", "--rho", "5"], { sigmaMin: 0.03, sigmaMax: 10, rho: 5 }],
    [["--beta-alpha", "0.5", "--beta-beta", "1"], { betaAlpha: 0.5, betaBeta: 1 }],
    [["--churn", "5", "--churn-min", "0.1", "--churn-max", "9"], { churn: 5, churnMin: 0.1, churnMax: 9 }],
    [["--churn", "5", "--tmin", "0.1", "--tmax=9"], { churn: 5, churnMin: 0.1, churnMax: 9 }],
    [["--noise-scale", "1.01", "--eta", "0.5"], { noiseScale: 1.01, eta: 0.5 }],
    [["--discard-penultimate"], { discardPenultimate: true }],
    [["--no-discard-penultimate"], { discardPenultimate: false }],
    [["--zero-snr", "--guidance-rescale", "0.7"], { zeroTerminalSnr: true, guidanceRescale: 0.7 }],
    [["--no-zero-snr"], { zeroTerminalSnr: false }],
    [["--rng", "philox", "--compat", "comfy", "--ensd", "31337"], { rng: "philox", compat: "comfy", seedDelta: 31337 }],
    [["--rng", "NV"], { rng: "philox" }],
    [["--rng", "CPU"], { rng: "cpu" }],
    [["--variation-seed", "7", "--variation-strength", "0.2"], { variation: { seed: 7n, strength: 0.2 } }],
    [["--vae-tiling"], { vaeTile: 512 }],
    [["--vae-precision", "f32"], { vaePrecision: "f32" }],
    [["--low-memory"], { lowMemory: true, vaeTile: undefined }],
    [["--vae-tile", "256"], { vaeTile: 256 }],
    [["--seed-resize", "512x768"], { resizeFrom: { width: 512, height: 768 } }],
    [
      ["--emphasis", "no-norm", "--clip-skip", "2", "--comma-backtrack", "0", "--old-edits"],
      { emphasis: "no-norm", clipSkip: 2, commaBacktrack: 0, oldEdits: true },
    ],
    [
      ["--original-size", "1024x768", "--crop", "16,32", "--target-size", "512x512"],
      {
        sizes: {
          original: { width: 1024, height: 768 },
          crop: { top: 16, left: 32 },
          target: { width: 512, height: 512 },
        },
      },
    ],
  ])("%j", (args, expected) => {
    expect(parse(...args)).toMatchObject(expected);
  });

  it("leaves everything undefined that is not given", () => {
    const { sigmas, churn, discardPenultimate, zeroTerminalSnr, variation, rng, compat, sizes, clipSkip } = parse();
    expect([sigmas, churn, discardPenultimate, zeroTerminalSnr, variation, rng, compat, sizes, clipSkip]).toEqual(
      Array(9).fill(undefined),
    );
  });

  it("draws a variation seed where only its strength is given", () => {
    expect(parse("--variation-strength", "0.3").variation?.seed).toBeTypeOf("bigint");
  });

  it.each([
    [["--sigmas", "a,b"], "INVALID_SIGMAS"],
    [["--rho", "0"], "INVALID_RHO"],
    [["--beta-alpha", "0"], "INVALID_BETA_ALPHA"],
    [["--beta-beta", "51"], "INVALID_BETA_BETA"],
    [["--churn", "-1"], "INVALID_CHURN"],
    [["--tmin", "-1"], "INVALID_CHURN_MIN"],
    [["--tmax"], "MISSING_VALUE"],
    [["--s-noise", "1"], "UNKNOWN_OPTION"],
    [["--guidance-rescale", "2"], "INVALID_GUIDANCE_RESCALE"],
    [["--rng", "dice"], "INVALID_RNG"],
    [["--compat", "midjourney"], "INVALID_COMPAT"],
    [["--ensd", "1.5"], "INVALID_ENSD"],
    [["--variation-seed", "7"], "VARIATION_INCOMPLETE"],
    [["--variation-strength", "1.5"], "INVALID_VARIATION_STRENGTH"],
    [["--seed-resize", "512"], "INVALID_SEED_RESIZE"],
    [["--clip-skip", "0"], "INVALID_CLIP_SKIP"],
    [["--emphasis", "loud"], "INVALID_EMPHASIS"],
    [["--crop", "a"], "INVALID_CROP"],
    [["--original-size", "0x0"], "INVALID_ORIGINAL_SIZE"],
  ])("%j is refused", (args, code) => {
    expect(codeOf(...args)).toBe(code);
  });
});
