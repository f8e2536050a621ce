import { describe, expect, it } from "vitest";
import { parseArguments } from "../../cli/syntax/arguments.ts";

const parse = (...argv: string[]) => parseArguments(argv, "1.2.3");

describe("limn plan", () => {
  it("needs nothing", () => {
    expect(parse("plan")).toMatchObject({
      command: "plan",
      options: { model: undefined, batch: 1, memory: undefined, json: false },
    });
  });

  it("takes model, size and memory", () => {
    const argv = [
      "plan",
      "-m",
      "sd.safetensors",
      "-W",
      "768",
      "-H",
      "512",
      "-b",
      "4",
      "-g",
      "1",
      "--memory",
      "8",
      "--precision",
      "f16",
    ];
    expect(parse(...argv, "--json").options).toMatchObject({
      model: "sd.safetensors",
      width: 768,
      height: 512,
      batch: 4,
      guidance: 1,
      memory: 8e9,
      precision: "f16",
      json: true,
    });
  });

  it("takes what else changes the memory", () => {
    const argv = ["plan", "--low-memory", "--from-picture", "--vae-tile", "256"];
    expect(parse(...argv).options).toMatchObject({ lowMemory: true, fromPicture: true, vaeTile: 256 });
    expect(parse("plan", "--vae-tiling").options).toMatchObject({ lowMemory: false, fromPicture: false, vaeTile: 512 });
  });

  it("takes a refiner", () => {
    const { options } = parse("plan", "--refiner", "r.safetensors", "--refiner-at", "0.7", "--limit-binding", "64");
    expect(options).toMatchObject({ refiner: "r.safetensors", refinerAt: 0.7, limitBinding: 64 });
    expect(() => parse("plan", "--refiner-at", "0.7")).toThrow(/--refiner is not/);
  });

  it("refuses a size that no picture has", () => {
    expect(() => parse("plan", "-W", "100")).toThrow(/width/);
    expect(() => parse("plan", "--memory", "0")).toThrow(/memory/);
  });
});
