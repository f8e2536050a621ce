import { expect, it } from "vitest";
import { families, familyCases } from "../../bench/shapes.ts";

it.each(families)("%s: every shape at every multiple of 8 is whole", (family) => {
  for (const size of [64, 72, 80, 88, 104, 512])
    for (const { inputs, flop } of familyCases(family, size, 2)) {
      expect(inputs.flat().every((length) => Number.isInteger(length) && length > 0)).toBe(true);
      expect(flop).toBeGreaterThan(0);
    }
});

it("a side that is not even is halved as the U-Net's convolutions do", () => {
  const names = familyCases("sd15", 72).map(({ name }) => name);
  expect(names).toEqual(
    expect.arrayContaining(["conv3x3_320_320_9", "conv3x3_640_640_5", "conv3x3_1280_1280_3", "conv3x3_1280_1280_2"]),
  );
});
