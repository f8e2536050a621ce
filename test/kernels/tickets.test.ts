import { describe, expect, test } from "vitest";
import type { Tensor } from "../../engine/index.ts";
import { attention } from "../../kernels/attention/index.ts";
import { conv2d } from "../../kernels/conv2d/index.ts";
import { groupNorm } from "../../kernels/group-norm/index.ts";
import { createDevice, needs, useDevice } from "./harness.ts";

/** More tiles than workgroups, as many, and fewer: 14 of convolution, 18 of narrow heads, 42 of wide ones, 10 of group-norm. */
const operations: readonly { readonly name: string; readonly shape: readonly number[]; readonly run: (x: Tensor) => Tensor }[] = [
  { name: "attention, narrow heads", shape: [2, 65, 24], run: (x) => attention(x, x, x, { heads: 3, headDim: 8 }) },
  {
    name: "convolution",
    shape: [2, 9, 11, 24],
    run: (x) => {
      const window = Float32Array.from({ length: 9 * 24 * 100 }, (_, i) => Math.sin(i));
      return conv2d(x, x.device.upload(window, [3, 3, 24, 100], "f32"), { padding: 1 }, "software");
    },
  },
  {
    name: "attention, wide heads, causal",
    shape: [2, 97, 60],
    run: (x) => attention(x, x, x, { heads: 3, headDim: 20, causal: true }),
  },
  {
    name: "group-norm",
    shape: [2, 9, 7, 40],
    run: (x) => {
      const [gain, shift] = [1.5, 0.25].map((value) => x.device.upload(new Float32Array(40).fill(value), [40], "f32"));
      return groupNorm(x, gain!, shift!, { groups: 5, eps: 1e-5, silu: true });
    },
  },
];

describe("workgroups that share out the tiles of a launch", () => {
  const gpu = useDevice({ tier: "software" });

  test.for(operations)("$name: the same numbers however many there are, time after time", async ({ shape, run }, { skip }) => {
    needs(gpu.device, "subgroups", skip);
    const { values } = gpu.random(shape, "f32");
    const results: Float32Array[] = [];
    for (const hostThreads of [1, 3, 64]) {
      const device = await createDevice({ tier: "software", hostThreads });
      for (let repeat = 0; repeat < 3; repeat++) {
        const y = device.scope(() => run(device.upload(Float32Array.from(values), shape, "f32")));
        results.push(await y.read());
        y.free();
      }
      const counts = [...(await device.tickets.readU32())];
      expect(counts, "tickets between launches").toEqual(counts.map(() => 0));
      device.close();
    }
    for (const result of results) expect(result).toEqual(results[0]);
  });
});
