import { describe, expect, it } from "vitest";
import { parseArguments, TextWanted, UsageWanted } from "../../cli/syntax/arguments.ts";
import type { Txt2imgOptions } from "../../cli/syntax/options.ts";
import { type LimnError, UsageError } from "../../engine/errors.ts";

function parse(...argv: string[]) {
  return parseArguments(argv, "1.2.3");
}

function picture(...argv: string[]): Txt2imgOptions {
  const invocation = parse(...argv);
  if (invocation.command !== "txt2img") throw new Error(`parsed as ${invocation.command}`);
  return invocation.options;
}

function failure(...argv: string[]): LimnError {
  try {
    parse(...argv);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return error as LimnError;
  }
  throw new Error(`accepted: ${argv.join(" ")}`);
}

describe("arguments", () => {
  it("takes a prompt alone", () => {
    expect(picture("a red fox")).toMatchObject({
      prompt: "a red fox",
      negative: "",
      batch: 1,
      precision: "auto",
      prediction: "auto",
      json: false,
    });
    expect(picture("txt2img", "a red fox").prompt).toBe("a red fox");
  });

  it("takes every option of txt2img", () => {
    const options = picture(
      ..."-m a.safetensors -n blur -o - -W 512 -H 768 -s 30 -g 7.5 --seed 18446744073709551615 --sampler euler_a --schedule karras --eta 0.5".split(
        " ",
      ),
      ..."--precision f16 --prediction v --vae v.safetensors --overwrite -q --verbose --debug --adapter 1 --require-gpu --tier f32 --strict".split(
        " ",
      ),
      ..."--allow-nonfinite --max-header 100000000 --noise n.safetensors --save-latent l.safetensors".split(" "),
      "fox",
    );
    expect(options).toMatchObject({
      prompt: "fox",
      model: "a.safetensors",
      negative: "blur",
      output: "-",
      width: 512,
      height: 768,
      steps: 30,
      guidance: 7.5,
      seed: 18446744073709551615n,
      batch: 1,
      count: 1,
      sampler: "euler_a",
      schedule: "karras",
      eta: 0.5,
      precision: "f16",
      prediction: "v",
      vae: "v.safetensors",
      overwrite: true,
      json: false,
      quiet: true,
      verbose: true,
      debug: true,
      adapter: 1,
      requireGpu: true,
      tier: "f32",
      strict: true,
      allowNonfinite: true,
      maxHeader: 100_000_000,
      noise: "n.safetensors",
      saveLatent: "l.safetensors",
    });
  });

  it("knows the commands, also behind common flags", () => {
    expect(parse("inspect", "a.safetensors")).toMatchObject({ command: "inspect", options: { file: "a.safetensors" } });
    expect(parse("--json", "-q", "inspect", "a.safetensors")).toMatchObject({
      command: "inspect",
      options: { json: true, quiet: true },
    });
    expect(parse("tokenize", "")).toMatchObject({ command: "tokenize", options: { text: "" } });
    expect(parse("tokenize", "--file", "a.json", "--json")).toMatchObject({
      options: { file: "a.json", text: undefined, json: true },
    });
    expect(parse("kernel")).toMatchObject({ command: "kernel", options: { name: undefined } });
    expect(parse("trace", "--reference", "c")).toMatchObject({
      command: "trace",
      options: { tolerance: 1e-3, reference: "c", model: undefined },
    });
    expect(parse("doctor", "--adapter", "0")).toMatchObject({ command: "doctor", options: { adapter: 0 } });
    expect(picture("txt2img", "doctor").prompt).toBe("doctor");
  });

  it("shows usage, help and version", () => {
    expect(() => parse()).toThrow(UsageWanted);
    expect(() => parse("--help")).toThrow(TextWanted);
    expect(() => parse("help", "trace")).toThrow(/--tolerance/);
    // The picture to start from is no part of the group before it.
    for (const command of ["img2img", "inpaint"]) {
      expect(() => parse(command, "--help")).toThrow(/\n\nFrom a picture:\n {2}--init /);
      expect(() => parse(command, "--help")).toThrow(/--width[^(]*\(default:\s+the\s+picture's;/);
    }
    expect(() => parse("--version")).toThrow(/^1\.2\.3\n$/);
  });

  it("accepts an empty prompt and a prompt with a dash after --", () => {
    expect(picture("").prompt).toBe("");
    expect(picture("--", "--steps").prompt).toBe("--steps");
  });

  it("draws a seed of 32 bits for -1 and for none (fault 41)", () => {
    for (const { seed } of [picture("a"), picture("a", "--seed", "-1")]) expect(seed >= 0n && seed < 1n << 32n).toBe(true);
    expect(new Set(Array.from({ length: 20 }, () => picture("a").seed)).size).toBeGreaterThan(15);
  });

  it.each(["0", "4294967296", "9007199254740993", "18446744073709551615"])("keeps the seed %s exactly (fault 42)", (seed) => {
    expect(picture("a", "--seed", seed).seed).toBe(BigInt(seed));
  });

  const faults: readonly (readonly [fault: string, argv: readonly string[], code: string, hint: RegExp])[] = [
    ["37 width 0", ["a", "--width", "0"], "INVALID_WIDTH", /64 or 72/],
    ["37 negative", ["a", "--height", "-8"], "INVALID_HEIGHT", /64 or 72/],
    ["37 NaN", ["a", "-W", "NaN"], "INVALID_WIDTH", /./],
    ["37 unit", ["a", "-W", "512px"], "INVALID_WIDTH", /512/],
    ["37 1e9", ["a", "-W", "1e9"], "INVALID_WIDTH", /./],
    ["37 huge", ["a", "-W", "1000000000"], "INVALID_WIDTH", /16384/],
    ["37 not a multiple", ["a", "-W", "500"], "INVALID_WIDTH", /496 or 504/],
    ["37 not a multiple", ["a", "-H", "513"], "INVALID_HEIGHT", /512 or 520/],
    ["37 empty", ["a", "-H", ""], "INVALID_HEIGHT", /./],
    ["39 steps 0", ["a", "--steps", "0"], "INVALID_STEPS", /1 to 1000/],
    ["39 steps -5", ["a", "--steps", "-5"], "INVALID_STEPS", /1 to 1000/],
    ["39 steps -5", ["a", "--steps=-5"], "INVALID_STEPS", /1 to 1000/],
    ["39 steps 1e6", ["a", "-s", "1e6"], "INVALID_STEPS", /./],
    ["39 steps 1000000", ["a", "-s", "1000000"], "INVALID_STEPS", /1 to 1000/],
    ["39 steps 3.5", ["a", "-s", "3.5"], "INVALID_STEPS", /./],
    ["39 steps empty", ["a", "-s", ""], "INVALID_STEPS", /./],
    ["40 guidance NaN", ["a", "-g", "NaN"], "INVALID_GUIDANCE", /./],
    ["40 guidance negative", ["a", "-g", "-1"], "INVALID_GUIDANCE", /./],
    ["40 guidance 1e9", ["a", "-g", "1e9"], "INVALID_GUIDANCE", /0 to 100/],
    ["40 guidance Infinity", ["a", "-g", "Infinity"], "INVALID_GUIDANCE", /./],
    ["40 eta 1.5", ["a", "--eta", "1.5"], "INVALID_ETA", /0 to 1/],
    ["42 seed 2^64", ["a", "--seed", "18446744073709551616"], "INVALID_SEED", /./],
    ["42 seed 0x10", ["a", "--seed", "0x10"], "INVALID_SEED", /./],
    ["42 seed 1.5", ["a", "--seed", "1.5"], "INVALID_SEED", /./],
    ["42 seed -2", ["a", "--seed", "-2"], "INVALID_SEED", /0 to 18446744073709551615/],
    ["43 batch 0", ["a", "-b", "0"], "INVALID_BATCH", /1 to 64/],
    ["43 batch 10000", ["a", "-b", "10000"], "INVALID_BATCH", /1 to 64/],
    ["44 unknown option", ["a", "--stpes", "3"], "UNKNOWN_OPTION", /did you mean --steps/],
    ["44 option of sd.cpp", ["a", "--cfg-scale=7"], "UNKNOWN_OPTION", /limn calls it --guidance/],
    ["44 option of sd.cpp", ["a", "--sampling-method", "euler"], "UNKNOWN_OPTION", /limn calls it --sampler/],
    ["44 option of another command", ["trace", "--cfg-scale", "7"], "UNKNOWN_OPTION", /limn trace --help/],
    ["44 unknown option with a value", ["a", "--stpes=3"], "UNKNOWN_OPTION", /did you mean --steps/],
    ["an option of another command", ["a", "--init", "b.png"], "UNKNOWN_OPTION", /limn img2img takes it/],
    ["an option of grid", ["a", "--x=steps=1,2"], "UNKNOWN_OPTION", /limn grid takes it/],
    ["a command with a typo", ["reproduc", "a.png"], "TOO_MANY_ARGUMENTS", /did you mean limn reproduce\?.*quotes/],
    ["44 unknown option of a command", ["trace", "--zzzzzz"], "UNKNOWN_OPTION", /limn trace --help/],
    ["a prompt for repl", ["repl", "a fox"], "TOO_MANY_ARGUMENTS", /limn repl < prompts.txt/],
    ["44 unknown value", ["a", "--tier", "f64"], "INVALID_TIER", /matrix, f16, f32, software/],
    ["44 unknown precision", ["a", "--precision", "bf16"], "INVALID_PRECISION", /auto, f32, f16/],
    ["34 1 MB prompt", ["a".repeat(1 << 20)], "PROMPT_TOO_LONG", /shorten/],
    ["34 64 KiB + 1 in UTF-8", [`${"é".repeat(32768)}a`], "PROMPT_TOO_LONG", /shorten/],
    ["34 long negative prompt", ["a", "-n", "b".repeat(65537)], "PROMPT_TOO_LONG", /shorten/],
    ["missing value", ["a", "--steps"], "MISSING_VALUE", /./],
    ["no prompt", ["--seed", "3"], "MISSING_ARGUMENT", /limn "a red fox"/],
    ["unquoted prompt", ["a", "red", "fox"], "TOO_MANY_ARGUMENTS", /quotes/],
    ["stdout for several", ["a", "-o", "-", "-b", "2"], "OPTIONS_CONFLICT", /./],
    ["stdout for two things", ["a", "-o", "-", "--json"], "OPTIONS_CONFLICT", /./],
    ["empty output", ["a", "-o", ""], "INVALID_OUTPUT", /./],
    ["an empty output of upscale", ["upscale", "a.png", "-o", ""], "INVALID_OUTPUT", /./],
    ["an empty model", ["a", "-m", ""], "EMPTY_PATH", /leave --model out; is a shell variable not set/],
    ["an empty VAE", ["a", "--vae="], "EMPTY_PATH", /leave --vae out/],
    ["an empty folder among others", ["a", "--lora-dir", "x", "--lora-dir", ""], "EMPTY_PATH", /leave --lora-dir out/],
    ["empty cases", ["trace", "--reference", ""], "EMPTY_PATH", /./],
    ["an empty picture", ["info", ""], "EMPTY_PATH", /name a file/],
    ["an empty file", ["inspect", ""], "EMPTY_PATH", /name a file/],
    ["a value for a switch", ["a", "--json=5"], "UNEXPECTED_VALUE", /^write --json alone$/],
    ["a text for doctor", ["doctor", "x"], "TOO_MANY_ARGUMENTS", /limn doctor --help/],
    ["two files", ["inspect", "x", "y"], "TOO_MANY_ARGUMENTS", /limn inspect --help/],
    ["nothing to tokenize", ["tokenize"], "MISSING_ARGUMENT", /./],
    ["nothing to trace", ["trace"], "MISSING_ARGUMENT", /--reference/],
    ["adapter -1", ["doctor", "--adapter", "-1"], "INVALID_ADAPTER", /./],
  ];
  it("counts what is too many", () => {
    expect(failure("a", "red", "fox").message).toBe("3 texts are given, 1 is taken");
    expect(failure("doctor", "x").message).toBe("1 argument is given, none is taken");
  });

  it.each(faults)("refuses %s (%#)", (_, argv, code, hint) => {
    const error = failure(...argv);
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(hint);
    expect(error.message).not.toContain("\n");
    expect(error.message.length).toBeLessThan(200);
  });
});
