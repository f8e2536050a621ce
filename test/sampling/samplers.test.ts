import { describe, expect, it } from "vitest";
import type { Tensor } from "../../engine/index.ts";
import { type Denoiser, NoiseSchedule, planSampling, samplers, TorchCpuGenerator } from "../../model/sampling/index.ts";
import { lmsCoefficients } from "../../model/sampling/samplers/lms.ts";
import { ClosedFormDenoiser } from "../../model/trace/closed-form-denoiser.ts";
import { samplerCases } from "../../model/trace/sampler-cases.ts";
import { useDevice } from "../kernels/harness.ts";
import { compare, missing, recorded } from "./recorded.ts";

const gpu = useDevice();
const schedule = new NoiseSchedule();
const shape = [1, 4, 4, 4];
const names = samplers.map(({ name }) => name);

if (missing) console.warn(`skipped: recorded trajectories (${missing})`);

describe.skipIf(missing)("recorded trajectories", () => {
  /** Samplers, and diffusers schedulers, that must be among the cases. */
  const wanted = [
    "k.euler.",
    "k.euler_v.",
    "k.euler_ancestral.",
    "k.euler_ancestral_eta07.",
    "k.heun.",
    "k.dpmpp_2m.",
    "k.dpmpp_2m_v.",
    "k.lms.",
  ];
  const diffusers = ["d.ddim.", "d.ddim_eta1.", "d.pndm.", "d.ddpm."];

  it("are all reproduced", async () => {
    const file = recorded("samplers.safetensors");
    const { cases, skipped } = samplerCases(file, gpu.device);
    for (const prefix of wanted) expect(cases.filter(({ name }) => name.startsWith(prefix)).length, prefix).toBe(6);
    for (const prefix of diffusers) expect(cases.filter(({ name }) => name.startsWith(prefix)).length, prefix).toBe(4);
    expect(cases.length + skipped.length + 2).toBe(file.shapes.size);
    let worst = { name: "", relativeError: 0 };
    for (const { name, run } of cases) {
      const { relativeError } = compare(await run(), await file.read(name));
      expect(relativeError, name).toBeLessThanOrEqual(1e-5);
      if (relativeError > worst.relativeError) worst = { name, relativeError };
    }
    console.info(
      `${cases.length} cases, worst ${worst.name}: ${worst.relativeError.toExponential(2)}; ${skipped.length} not built yet`,
    );
  });
});

describe("LMS coefficients", () => {
  it("are the exact integrals", () => {
    // Recorded with sigmas in float32.
    const coefficients = lmsCoefficients([14.6146, 10, 7, 5, 3.5], 3, 4);
    expect(compare(coefficients, [-2.61207977, 1.57130542, -0.51958133, 0.06035568]).maxAbsError).toBeLessThanOrEqual(1e-7);
  });

  it("add up to the step, whatever the order", () => {
    const sigmas = [14, 9, 5, 2, 0];
    for (const order of [1, 2, 3, 4]) expect(lmsCoefficients(sigmas, 3, order).reduce((sum, c) => sum + c)).toBeCloseTo(-2, 12);
  });
});

/** A run of a sampler with its default schedule, on noise of a fixed seed. */
function start(sampler: string, steps: number, denoiser: Denoiser & { free(): void }, eta?: number) {
  const generator = new TorchCpuGenerator(7n);
  const draw = () => gpu.device.upload(generator.randn(64), shape);
  const plan = planSampling(schedule, { sampler, steps, eta });
  const x = gpu.device.upload(
    generator.randn(64).map((value) => value * plan.initialNoiseScale),
    shape,
  );
  return { plan, sampling: plan.run({ denoiser, x, noise: draw }) };
}

const closedForm = () => new ClosedFormDenoiser(gpu.device, schedule, { a: 0.8, b: 1.3, prediction: "eps" });

async function finish(
  sampler: string,
  steps: number,
  eta?: number,
): Promise<{ final: Float32Array; calls: number; yields: number; planned: number }> {
  const denoiser = closedForm();
  const { plan, sampling } = start(sampler, steps, denoiser, eta);
  let yields = 0;
  for (;;) {
    const { done, value } = await sampling.next();
    if (done) {
      const final = await value.read();
      value.free();
      denoiser.free();
      return { final, calls: denoiser.timesteps.length, yields, planned: plan.yields };
    }
    expect(value.step).toBe(yields++);
  }
}

// The harness compares live bytes after each test with those before it.
describe.each(names)("%s", (name) => {
  it.each([1, 2, 3, 5])("runs %i steps as planned and gives all memory back but the result", async (steps) => {
    const { final, yields, planned } = await finish(name, steps);
    expect(yields).toBe(planned);
    expect(final.every(Number.isFinite)).toBe(true);
  });

  it.each([1, 2, 3])("gives all memory back when the consumer leaves after %i latents", async (latents) => {
    const denoiser = closedForm();
    let seen = 0;
    for await (const { latent } of start(name, 5, denoiser).sampling) {
      expect(latent.shape).toEqual(shape);
      if (++seen === latents) break;
    }
    denoiser.free();
  });

  it("gives all memory back when the denoiser fails", async () => {
    for (const failing of [1, 2, 3]) {
      const working = closedForm();
      let calls = 0;
      const fail = async (answer: () => Promise<Tensor>) => {
        if (++calls === failing) throw new Error("no answer");
        return await answer();
      };
      const denoiser = {
        denoise: (x: Tensor, sigma: number) => fail(() => working.denoise(x, sigma)),
        eps: (x: Tensor, timestep: number) => fail(() => working.eps(x, timestep)),
        free: () => working.free(),
      };
      const { sampling } = start(name, 5, denoiser);
      await expect(
        (async () => {
          for await (const _ of sampling);
        })(),
      ).rejects.toThrow("no answer");
      denoiser.free();
    }
  });

  it("gives the same numbers twice", async () => {
    expect((await finish(name, 4)).final).toEqual((await finish(name, 4)).final);
  });
});

describe("number of calls", () => {
  it.each([
    ["euler", 5],
    ["dpmpp_2m", 5],
    ["ddim", 5],
    ["ddpm", 5],
    ["plms", 6],
    ["heun", 9],
  ])("%s asks for 5 steps in %i calls", async (name, calls) => {
    expect((await finish(name, 5)).calls).toBe(calls);
  });
});

describe("eta", () => {
  it("0 makes euler_ancestral Euler and dpm_2_ancestral DPM2", async () => {
    expect((await finish("euler_ancestral", 4, 0)).final).toEqual((await finish("euler", 4)).final);
    expect((await finish("dpm_2_ancestral", 4, 0)).final).toEqual((await finish("dpm_2", 4)).final);
  });

  it("1 makes DDIM noisy", async () => {
    expect((await finish("ddim", 4, 1)).final).not.toEqual((await finish("ddim", 4)).final);
  });
});

describe("order", () => {
  // For D = x0 with sigma-independent x0, dx/dsigma = (x - x0)/sigma: every solver is exact, whatever the steps.
  it.each(samplers.filter(({ space, eta }) => space === "sigma" && eta === 0).map(({ name }) => name))(
    "%s arrives at a constant x0",
    async (name) => {
      const target = gpu.device.upload(new Float32Array(64).fill(0.5), shape);
      const denoiser = { denoise: () => target, eps: () => target, free: () => {} };
      const { sampling } = start(name, 6, denoiser);
      for (;;) {
        const { done, value } = await sampling.next();
        if (!done) continue;
        expect(compare(await value.read(), new Float32Array(64).fill(0.5)).maxAbsError).toBeLessThanOrEqual(1e-5);
        value.free();
        break;
      }
      target.free();
    },
  );
});
