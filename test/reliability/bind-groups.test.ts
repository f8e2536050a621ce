/** @file From its third step on no sampler makes the host build a bind group: neither the U-Net's replay nor the launches around it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture } from "./picture.ts";

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
});
afterAll(() => {
  model.free();
  expect(device.memory.liveBytes).toBe(0);
  device.close();
});

/** Bind groups built in the steps of a picture, none of them known from another: [before the third, from it on]. */
async function built(sampler: string): Promise<[first: number, later: number]> {
  device.flush();
  device.bindGroups.clear();
  const { counters, bindGroups } = device;
  const [all, later] = [bindGroups.built, counters.bindGroupsBuiltInReplay];
  await picture(model, { sampler, steps: 7 });
  const counted = counters.bindGroupsBuiltInReplay - later;
  return [bindGroups.built - all - counted, counted];
}

test.for(["euler", "dpmpp_2m", "heun", "plms", "lms", "euler_ancestral", "ddim", "unipc", "dpmpp_3m_sde", "euler_cfg_pp"])(
  "%s",
  async (sampler) => {
    const [first, later] = await built(sampler);
    expect(first).toBeGreaterThan(0);
    expect(later).toBe(0);
  },
);
