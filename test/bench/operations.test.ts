import { afterAll, beforeAll, expect, it } from "vitest";
import { checkCase, copiesOf, makeInputs, rotate } from "../../bench/inputs.ts";
import { attentionCase, convCase, groupNormCase, layerNormCase, matmulCase } from "../../bench/operations.ts";
import type { Device } from "../../engine/index.ts";
import { createDevice } from "../kernels/harness.ts";

let device: Device;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
});
afterAll(() => device.close());

it.each([
  matmulCase(12, 16, 24),
  convCase(16, 32, 6, { batch: 3 }),
  convCase(16, 32, 6, { kernel: 1, batch: 2 }),
  attentionCase(2, 12, 7, 16, 3),
  groupNormCase(6, 32, { groups: 8, batch: 3 }),
  layerNormCase(10, 32),
])("$name: what is expected is what the kernel gives, in every sample", async (benchCase) => {
  const inputs = makeInputs(device, benchCase, 5);
  const values = await Promise.all(inputs.map((tensor) => tensor.read()));
  const output = device.scope(() => benchCase.run(inputs, "best"));
  expect(await checkCase(benchCase, values, output, 200)).toBeLessThan(1e-5);
  // The check must see a sample that is another's.
  const actual = await output.read();
  device.write(output, actual.slice().reverse());
  expect(await checkCase(benchCase, values, output, 200)).toBeGreaterThan(0.1);
  for (const tensor of [...inputs, output]) tensor.free();
});

it.each([groupNormCase(6, 32, { groups: 8 }), groupNormCase(5, 6, { groups: 2 }), layerNormCase(10, 32)])(
  "$name: every rung of a norm is right, naive first",
  async (benchCase) => {
    const rungs = benchCase.rungs(device);
    expect(rungs[0]).toBe("naive");
    expect(rungs.includes("whole")).toBe(benchCase.name === "groupNorm_6_32");
    const inputs = makeInputs(device, benchCase, 5);
    const values = await Promise.all(inputs.map((tensor) => tensor.read()));
    for (const rung of rungs) {
      const output = device.scope(() => benchCase.run(inputs, rung));
      expect(await checkCase(benchCase, values, output, 200), rung).toBeLessThan(1e-5);
      output.free();
    }
    for (const tensor of inputs) tensor.free();
  },
);

it("on a GPU so many copies take turns that caches hold none of them", () => {
  const gpu = { isSoftware: false, storage: "f16" } as const;
  const norm = layerNormCase(8192, 320);
  expect(2 * norm.elements * copiesOf(gpu, norm)).toBeGreaterThan(150e6);
  expect(copiesOf(gpu, convCase(128, 128, 512))).toBe(2);
  expect(copiesOf(gpu, matmulCase(4, 8, 16))).toBe(32);
});

it("a rotation's memory comes back", () => {
  const before = device.memory.liveBytes;
  const rotation = rotate(device, matmulCase(8, 16, 8));
  for (let i = 0; i < 5; i++) rotation.run(i, "best");
  expect(device.memory.liveBytes).toBeGreaterThan(before);
  rotation.free();
  expect(device.memory.liveBytes).toBe(before);
});
