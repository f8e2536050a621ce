import { describe, expect, it } from "vitest";
import { launchCosts } from "../../bench/launch-costs.ts";
import { familyHeader, makeStepModel } from "../../bench/step-model.ts";
import { totalFlop, unetWork } from "../../bench/work.ts";
import { dryDevice } from "../../model/plan/dry-gpu.ts";
import { gpuLike, withMatrices } from "../model/capabilities.ts";

describe("costs of a step's launches", () => {
  it.each([
    ["sd15", 512, "f32"],
    ["sd15", 512, "matrix"],
    ["sdxl", 256, "f16"],
    ["sdxl", 1024, "matrix"],
  ] as const)("%s at %i, tier %s: the launches do all of the step's arithmetic, block by block", async (family, size, tier) => {
    const device = await dryDevice(gpuLike({}, withMatrices), { tier });
    const model = await makeStepModel(device, await familyHeader(family), size, 2);
    const work = unetWork(model.config.unet, model.work);
    const costs = launchCosts(model.step.launches, model.weights, work);
    expect(costs).toHaveLength(model.step.launches.length);
    const flop = costs.reduce((sum, cost) => sum + cost.flop, 0);
    expect(flop / totalFlop(work).step).toBeCloseTo(1, 6);
    expect(new Set(costs.map(({ block }) => block))).not.toContain("other");
    const blocks = new Set(costs.map(({ block }) => block));
    for (const { path } of [...model.config.unet.inputBlocks, ...model.config.unet.outputBlocks]) expect(blocks).toContain(path);
    expect(costs.every(({ bytes }) => bytes > 0)).toBe(true);
    // Every weight of the U-Net is read in a step, but the keys' and values' of the prompt.
    const weightBytes = model.weights
      .filter(({ names }) => !work.prompt.has(names[0]!))
      .reduce((sum, { tensor }) => sum + tensor.bytes, 0);
    expect(costs.reduce((sum, { bytes }) => sum + bytes, 0)).toBeGreaterThan(weightBytes);
    model.free();
  });
});
