import { describe, expect, it } from "vitest";
import { LatentNoise } from "../../model/sampling/latent-noise.ts";
import { PhiloxGenerator, philox } from "../../model/sampling/rng/philox.ts";
import { TorchCpuGenerator } from "../../model/sampling/rng/torch-cpu.ts";
import { rngCases } from "../../model/trace/rng-cases.ts";
import { skipped } from "../skip.ts";
import { compare, missing, recorded } from "./recorded.ts";

/** The vector path's polynomials differ from libm by this much at most (measured by the fixtures' authors). */
const TOLERANCE = 2e-6;

describe.skipIf(skipped("recorded draws", missing))("recorded draws", () => {
  it("are all reproduced", async () => {
    const file = recorded("rng.safetensors");
    const { cases, skipped } = rngCases(file);
    expect(skipped).toEqual([]);
    expect(cases.length).toBe(file.shapes.size);
    for (const { name, run } of cases) {
      expect(compare(await run(), await file.read(name)).maxAbsError, name).toBeLessThanOrEqual(TOLERANCE);
    }
  });
});

describe("torch CPU generator", () => {
  const near = (values: Float32Array, expected: number[]) =>
    expect(compare(values, expected).maxAbsError).toBeLessThanOrEqual(TOLERANCE);

  it("gives torch.randn(4, 8, 8) of seed 42", () => {
    const values = new TorchCpuGenerator(42n).randn(256);
    near(values.slice(0, 4), [1.92691529, 1.48728406, 0.900717199, -2.10552096]);
    near(values.slice(-4), [0.539731026, 0.565505028, 0.505791724, 0.222453654]);
  });

  it("draws fewer than 16 one by one in double precision", () => {
    near(new TorchCpuGenerator(42n).randn(5), [0.336690366, 0.128809407, 0.234462366, 0.23033303, -1.12285638]);
    near(new TorchCpuGenerator(42n).randn(15).slice(-3), [1.11029029, -1.68979895, -0.988959908]);
  });

  it("draws the last 16 anew when the length isn't a multiple of 16", () => {
    near(
      new TorchCpuGenerator(42n).randn(20).slice(0, 6),
      [1.92691529, 1.48728406, 0.900717199, -2.10552096, -0.758131146, 1.07831764],
    );
  });

  it("keeps the second normal of a pair for the next short draw, across a long one", () => {
    const generator = new TorchCpuGenerator(42n);
    const short = [...generator.randn(3)];
    generator.randn(16);
    short.push(generator.randn(1)[0]!);
    near(Float32Array.from(short), [...new TorchCpuGenerator(42n).randn(4)]);
  });

  it("counts the low 32 bits of the seed only", () => {
    expect(new TorchCpuGenerator(2n ** 32n + 5n).randn(32)).toEqual(new TorchCpuGenerator(5n).randn(32));
  });
});

describe("philox", () => {
  it("gives the Random123 vectors", () => {
    const zeros = new Uint32Array(4);
    philox(zeros, [0, 0]);
    expect([...zeros]).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
    const ones = new Uint32Array(4).fill(0xffffffff);
    philox(ones, [0xffffffff, 0xffffffff]);
    expect([...ones]).toEqual([0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  });

  it("gives a CUDA device's torch.randn(3, 4) of seed 0", () => {
    const expected = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122, -0.32838709];
    expect(compare(new PhiloxGenerator(0n).randn(12).slice(0, 8), expected).maxAbsError).toBeLessThanOrEqual(TOLERANCE);
  });

  it("counts the high 32 bits of the seed too", () => {
    const values = new PhiloxGenerator(2n ** 32n + 42n).randn(4);
    expect(compare(values, [-0.71141005, 1.6494418, 1.0714165, -2.0002089]).maxAbsError).toBeLessThanOrEqual(TOLERANCE);
  });
});

describe.each([
  ["torch cpu", TorchCpuGenerator],
  ["philox", PhiloxGenerator],
])("moments of %s noise", (_, Kind) => {
  // Standard errors at n = 65536: mean 0.0039, variance 0.0055, kurtosis 0.019; five of them are allowed.
  it.each([0n, 1n, 42n, 2n ** 32n - 1n, 2n ** 64n - 1n])("are a standard normal's, seed %s", (seed) => {
    const values = new Kind(seed).randn(65536);
    const moment = (power: number) => values.reduce((sum, value) => sum + value ** power, 0) / values.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.02);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.028);
    expect(Math.abs(moment(4) / moment(2) ** 2 - 3)).toBeLessThan(0.1);
    expect(values.every((value) => Math.abs(value) < 7)).toBe(true);
  });
});

describe("latent noise", () => {
  it("is [N,H,W,C] of generators that count [C,H,W], image i seeded seed + i, wrapping at 2^64", () => {
    const [height, width] = [3, 5];
    const noise = LatentNoise.torchCpu(2n ** 64n - 1n, 2, { height, width });
    expect(noise.shape).toEqual([2, height, width, 4]);
    const generators = [new TorchCpuGenerator(2n ** 64n - 1n), new TorchCpuGenerator(0n)];
    for (const draw of [0, 1]) {
      const values = noise.next();
      for (const [n, generator] of generators.entries()) {
        const planes = generator.randn(4 * height * width);
        for (const [c, y, x] of [
          [0, 0, 0],
          [1, 2, 4],
          [3, 1, 0],
        ] as const) {
          expect(values[((n * height + y) * width + x) * 4 + c], `draw ${draw}`).toBe(planes[(c * height + y) * width + x]);
        }
      }
    }
  });
});
