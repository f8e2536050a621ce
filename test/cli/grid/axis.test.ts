import { describe, expect, it, vi } from "vitest";
import { type Axis, parseAxis } from "../../../cli/grid/axis.ts";
import { cellsOf } from "../../../cli/grid/cells.ts";
import { axisValues } from "../../../cli/grid/values.ts";
import { parseArguments } from "../../../cli/syntax/arguments.ts";
import type { GridOptions } from "../../../cli/syntax/options.ts";

vi.mock(import("../../../cli/version.ts"), () => ({ packageVersion: "0" }));

const none: Axis = { name: "", text: "", cost: 0, values: [{ label: "", apply: (cell) => cell }] };

function cells(axes: { x?: string; y?: string; z?: string }, ...words: string[]) {
  const given = Object.entries(axes).flatMap(([name, axis]) => [`--${name}`, axis]);
  const { options } = parseArguments(["grid", "a red fox", ...given, ...words], "0") as { options: GridOptions };
  const axis = (name: "x" | "y" | "z") => (axes[name] === undefined ? none : parseAxis(name, axes[name]));
  return cellsOf(options, [axis("x"), axis("y"), axis("z")], options.picture.seed);
}

describe("values of an axis", () => {
  it.each([
    ["10,20,30", "whole", ["10", "20", "30"]],
    ["1-5", "whole", ["1", "2", "3", "4", "5"]],
    ["10-30(+5)", "whole", ["10", "15", "20", "25", "30"]],
    ["30-10(-10)", "whole", ["30", "20", "10"]],
    ["5-1", "whole", ["5", "4", "3", "2", "1"]],
    ["1-10[5]", "whole", ["1", "3", "5", "7", "10"]],
    ["0-1(+0.25)", "number", ["0", "0.25", "0.5", "0.75", "1"]],
    ["0.1-0.3(0.1)", "number", ["0.1", "0.2", "0.3"]],
    ["1-2[3], 7", "number", ["1", "1.5", "2", "7"]],
    ["-2--1", "whole", ["-2", "-1"]],
    ["1-5(+1.5)", "number", ["1", "2.5", "4"]],
    ["18446744073709551615", "whole", ["18446744073709551615"]],
    ['fox,"cat, dog",1-5', "text", ["fox", "cat, dog", "1-5"]],
  ] as const)("%s (%s)", (text, kind, values) => {
    expect(axisValues(text, kind)).toEqual(values);
  });

  it.each([
    ["", "whole"],
    ["1,,2", "whole"],
    ["1-5(-1)", "whole"],
    ["1-5(0)", "whole"],
    ["1-1000000", "whole"],
    ["1-9[100000]", "whole"],
  ] as const)("refuses %j", (text, kind) => {
    expect(() => axisValues(text, kind)).toThrow(expect.objectContaining({ code: "INVALID_AXIS" }));
  });
});

describe("cells of a grid", () => {
  it("has x in columns and y in rows, and the same seed in all", () => {
    const made = cells({ x: "steps=10,20", y: "sampler=euler,dpmpp_2m" });
    expect(made.map(({ place, labels, options: { steps, sampler } }) => [place, labels, steps, sampler])).toEqual([
      [0, ["steps 10", "euler"], 10, "euler"],
      [1, ["steps 20", "euler"], 20, "euler"],
      [2, ["steps 10", "dpmpp_2m"], 10, "dpmpp_2m"],
      [3, ["steps 20", "dpmpp_2m"], 20, "dpmpp_2m"],
    ]);
    expect(new Set(made.map(({ options }) => options.seed)).size).toBe(1);
  });

  it("changes the dearest axis least often", () => {
    const made = cells({ x: "model=a.safetensors,b.safetensors", y: "steps=1,2", z: "size=64x64,64x128" });
    expect(made.map(({ options: { model, steps, height } }) => `${model![0]} ${height} ${steps}`)).toEqual([
      "a 64 1",
      "a 64 2",
      "a 128 1",
      "a 128 2",
      "b 64 1",
      "b 64 2",
      "b 128 1",
      "b 128 2",
    ]);
    expect(made.map(({ place }) => place)).toEqual([0, 2, 4, 6, 1, 3, 5, 7]);
    expect(made[0]!.labels).toEqual(["a", "steps 1", "64x64"]);
  });

  it("replaces the first value in both prompts", () => {
    const made = cells({ x: "prompt=fox,cat,$&", y: "prompt=red,blue" }, "-n", "no fox");
    expect(made.map(({ options: { prompt, negative } }) => [prompt, negative])).toEqual([
      ["a red fox", "no fox"],
      ["a red cat", "no cat"],
      ["a red $&", "no $&"],
      ["a blue fox", "no fox"],
      ["a blue cat", "no cat"],
      ["a blue $&", "no $&"],
    ]);
  });

  it("knows A1111's names, switches, and a LoRA's strength", () => {
    expect(cells({ x: "CFG Scale=1-3" }).map(({ options }) => options.guidance)).toEqual([1, 2, 3]);
    expect(cells({ x: "zero-snr=on,off" }).map(({ options }) => options.zeroTerminalSnr)).toEqual([true, false]);
    const made = cells({ x: "lora-strength=0,0.5" }, "--lora", "a.safetensors:0.7:1", "--lora=b.pt");
    expect(made.map(({ options }) => options.loras.map(({ path, text, unet }) => [path, text, unet]))).toEqual([
      [
        ["a.safetensors", 0, 0],
        ["b.pt", 0, 0],
      ],
      [
        ["a.safetensors", 0.5, 0.5],
        ["b.pt", 0.5, 0.5],
      ],
    ]);
  });

  it("goes over a picture to start from", () => {
    const made = cells({ x: "strength=0.2,0.8" }, "--init", "a.png");
    expect(made.map(({ options }) => ("init" in options ? [options.init, options.strength] : []))).toEqual([
      ["a.png", 0.2],
      ["a.png", 0.8],
    ]);
  });

  it.each([
    [{ x: "steps" }, "INVALID_AXIS"],
    [{ x: "steps=1,x" }, "INVALID_STEPS"],
    [{ x: "stpes=1" }, "UNKNOWN_OPTION"],
    [{ x: "output=a,b" }, "INVALID_AXIS"],
    [{ x: "tier=f32,f16" }, "INVALID_AXIS"],
    [{ x: "size=64" }, "INVALID_AXIS"],
    [{ x: "prompt=cat,dog" }, "PROMPT_NOT_FOUND"],
    [{ x: "lora-strength=1" }, "NO_LORA"],
  ])("refuses %j", (axes, code) => {
    expect(() => cells(axes)).toThrow(expect.objectContaining({ code }));
  });

  it("needs an axis, and one picture a cell", () => {
    expect(() => parseArguments(["grid", "a"], "0")).toThrow(expect.objectContaining({ code: "MISSING_ARGUMENT" }));
    expect(() => parseArguments(["grid", "a", "--x", "seed=1", "--count", "2"], "0")).toThrow(
      expect.objectContaining({ code: "OPTIONS_CONFLICT" }),
    );
  });
});
