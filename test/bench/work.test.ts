import { describe, expect, it } from "vitest";
import { totalFlop, unetWork } from "../../bench/work.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { standIn } from "../../model/checkpoint/stand-in.ts";

const unetOf = async (family: "sd15" | "sdxl") => (await readConfig(await openSafetensors(standIn(family)))).unet;

describe("work of a U-Net evaluation", () => {
  // Multiply-adds counted on the original models, in units of 10^9.
  it.each([
    ["sd15", 64, 401.6],
    ["sd15", 96, 1074],
    ["sdxl", 128, 3380.6],
  ] as const)("%s at a latent of %i: %f GMAC a sample", async (family, side, expected) => {
    const work = unetWork(await unetOf(family), { batch: 1, height: side, width: side, keys: 77 });
    const gmac = totalFlop(work).all / 2e9;
    expect(Math.abs(gmac - expected) / expected).toBeLessThan(5e-4);
  });

  it("keys and values of the prompt are 1.5 GMAC of SD 1.5, and no step's work", async () => {
    const { all, step } = totalFlop(unetWork(await unetOf("sd15"), { batch: 1, height: 64, width: 64, keys: 77 }));
    expect((all - step) / 2e9).toBeCloseTo(1.5, 1);
  });

  it("grows with the batch", async () => {
    const unet = await unetOf("sd15");
    const flop = (batch: number) => totalFlop(unetWork(unet, { batch, height: 8, width: 8, keys: 77 })).all;
    expect(flop(2)).toBe(2 * flop(1));
  });
});
