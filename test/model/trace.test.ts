import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../engine/index.ts";
import { difference, diverges } from "../../model/trace/comparison.ts";
import { channelsFirst, channelsLast } from "../../model/trace/layout.ts";
import { holdsCases } from "../../model/trace/trace.ts";
import { only, type RecordedTensors } from "../../model/trace/trace-case.ts";
import { createDevice } from "../kernels/harness.ts";
import { embeddedCases, embeddedModel, traceFiles } from "./cases.ts";

describe("difference", () => {
  it("is relative to the largest recorded value", () => {
    expect(difference("x", [1, -4.5], [1, -4])).toEqual({ maxAbsError: 0.5, relativeError: 0.125 });
  });

  it("does not pass over what is not finite", () => {
    for (const wrong of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const found = difference("x", [0, wrong, 0], [1, 2, 3]);
      expect(found.maxAbsError).toBe(Number.MAX_VALUE);
      expect(diverges("x", found, 1)).toBe(true);
      expect(difference("x", [wrong], [wrong])).toEqual({ maxAbsError: 0, relativeError: 0 });
    }
    expect(difference("x", [1], [Number.NaN]).maxAbsError).toBe(Number.MAX_VALUE);
  });

  it("from zeros is as large as can be", () => {
    expect(difference("x", [1e-20], [0]).relativeError).toBe(Number.MAX_VALUE);
  });

  it("of pictures may be one level", () => {
    const one = difference("p", [100, 11], [100, 10]);
    expect(diverges("run.karras.euler.image", one, 1e-3)).toBe(false);
    expect(diverges("vae.decoded", one, 1e-3)).toBe(true);
    expect(diverges("run.karras.euler.image", difference("p", [100, 12], [100, 10]), 1e-3)).toBe(true);
  });

  it("refuses another number of values", () => {
    expect(() => difference("unet.out", [1, 2], [1])).toThrow("unet.out has 1 values in the file, limn computes 2");
  });
});

describe("layout", () => {
  it("puts channels last with zeros behind them, and back", () => {
    const planes = Float32Array.from({ length: 2 * 3 * 2 }, (_, i) => i + 1); // [N 2, C 3, P 2]
    const last = channelsLast(planes, 3, 2, 4);
    expect([...last]).toEqual([1, 3, 5, 0, 2, 4, 6, 0, 7, 9, 11, 0, 8, 10, 12, 0]);
    expect(channelsFirst(last, 4, 2, 3)).toEqual(planes);
  });
});

describe("trace", () => {
  let device: Device;
  beforeAll(async () => {
    device = await createDevice();
  });
  afterAll(() => device.close());

  const files = { model: embeddedModel, cases: embeddedCases };
  /** Adds `error` to the first value of one recorded tensor. */
  const disturb = (wrong: string, error: number) => (recorded: RecordedTensors) => ({
    ...only(recorded, /^text\.|^unet\./),
    read: async (name: string) => {
      const values = await recorded.read(name);
      if (name === wrong) values[0]! += error;
      return values;
    },
  });

  it("names the first tensor that diverges, in the order of execution", async () => {
    const { tensors, firstDivergent } = await traceFiles(device, { ...files, change: disturb("unet.tap.input_blocks.4", 1) });
    expect(firstDivergent).toBe("unet.tap.input_blocks.4");
    const names = tensors.map(({ name }) => name);
    const order = [
      "text.hidden.0",
      "text.last",
      "unet.tap.time_embed",
      "unet.tap.input_blocks.4",
      "unet.tap.middle_block",
      "unet.out",
    ];
    expect(names.filter((name) => order.includes(name))).toEqual(order);
    expect(tensors.filter(({ diverges }) => diverges)).toHaveLength(1);
  });

  it("shows where a disturbed input leads", async () => {
    const { firstDivergent } = await traceFiles(device, { ...files, change: disturb("unet.context", 3) });
    expect(firstDivergent).toBe("unet.tap.input_blocks.1"); // the first block with cross-attention
  });

  it("takes a tolerance", async () => {
    const change = disturb("unet.out", 0.01);
    expect((await traceFiles(device, { ...files, change, tolerance: 1e-4 })).firstDivergent).toBe("unet.out");
    expect((await traceFiles(device, { ...files, change, tolerance: 1e-1 })).firstDivergent).toBeUndefined();
  });

  it("lists what it can't compute, and no inputs", async () => {
    const add = (recorded: RecordedTensors) => ({
      ...recorded,
      shapes: new Map([...recorded.shapes, ["unet.tap.no_such_module", [2, 4]], ["dora.unet.out", [1, 4, 8, 8]]]),
    });
    const { skipped } = await traceFiles(device, { ...files, change: add });
    expect(skipped).toEqual(["unet.tap.no_such_module", "dora.unet.out"]);
  });

  it("says that cases are another model's, which is no divergence", async () => {
    const wider = (recorded: RecordedTensors) => ({
      ...recorded,
      shapes: new Map(
        [...recorded.shapes].map(([name, shape]) =>
          name === "text.last" ? [name, [...shape.slice(0, -1), 128]] : [name, shape],
        ),
      ),
    });
    await expect(traceFiles(device, { ...files, change: wider })).rejects.toMatchObject({
      name: "ModelFileError",
      code: "CASES_MODEL",
    });
  });

  it("tells cases from a model, which has the tables of the noise schedule too", () => {
    const holds = (...names: string[]) =>
      holdsCases({ metadata: {}, shapes: new Map(names.map((name) => [name, [1]])), read: async () => new Float32Array(1) });
    expect(holds("alphas_cumprod", "model.diffusion_model.out.2.bias")).toBe(false);
    expect(holds("lora_unet.alpha")).toBe(false);
    expect(holds()).toBe(false);
    expect(holds("alphas_cumprod", "sigmas.model")).toBe(true);
    expect(holds("alphas_cumprod", "k.euler.karras.10.x")).toBe(true);
    expect(holds("philox.0.0")).toBe(true);
    expect(holds("unet.x", "unet.out")).toBe(true);
  });

  it("runs without a model what needs none", async () => {
    const none = (recorded: RecordedTensors) => ({
      ...only(recorded, /^$/),
      shapes: new Map([
        ["cpu.0.0", [3]],
        ["cpu.0.1", [2]],
      ]),
      read: async () => new Float32Array(3),
    });
    const { tensors } = await traceFiles(device, { ...files, change: (recorded) => only(none(recorded), /0$/) });
    expect(tensors.map(({ name, diverges }) => [name, diverges])).toEqual([["cpu.0.0", true]]);
  });
});
