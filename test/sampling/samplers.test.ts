import { describe, expect, it } from "vitest";
import type { Tensor } from "../../engine/index.ts";
import {
  type Denoiser,
  ignoredOptions,
  type NoiseLevel,
  NoiseSchedule,
  type PlanOptions,
  planSampling,
  samplers,
  TorchCpuGenerator,
} from "../../model/sampling/index.ts";
import { lmsCoefficients } from "../../model/sampling/samplers/lms.ts";
import { restartSteps } from "../../model/sampling/samplers/restart.ts";
import { ClosedFormDenoiser } from "../../model/trace/closed-form-denoiser.ts";
import { samplerCases } from "../../model/trace/sampler-cases.ts";
import { useDevice } from "../kernels/harness.ts";
import { skipped } from "../skip.ts";
import { compare, missing, recorded } from "./recorded.ts";

const gpu = useDevice();
const schedule = new NoiseSchedule();
const shape = [1, 4, 4, 4];
const names = samplers.map(({ name }) => name);

describe.skipIf(skipped("recorded trajectories", missing))("recorded trajectories", () => {
  it("are all reproduced", async () => {
    const file = recorded("samplers.safetensors");
    const { cases, skipped } = samplerCases(file, gpu.device);
    expect(skipped).toEqual([]);
    // The other two are the noise that the runs are fed.
    expect(cases.length + 2).toBe(file.shapes.size);
    const worst = new Map<string, number>();
    for (const { name, run } of cases) {
      const { relativeError } = compare(await run(), await file.read(name));
      // Its step lengths depend on an error norm, so differences grow along the way.
      expect(relativeError, name).toBeLessThanOrEqual(name.startsWith("k.dpm_adaptive") ? 1e-4 : 1e-5);
      const [, kind = name] = /^([a-z]+\.\w+)/.exec(name) ?? [];
      worst.set(kind, Math.max(worst.get(kind) ?? 0, relativeError));
    }
    console.info([...worst].map(([kind, error]) => `${kind} ${error.toExponential(1)}`).join(", "));
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
function start(sampler: string, steps: number, denoiser: Denoiser & { free(): void }, options: Partial<PlanOptions> = {}) {
  const generator = new TorchCpuGenerator(7n);
  const draw = () => gpu.device.upload(generator.randn(64), shape);
  const plan = planSampling(schedule, { sampler, steps, ...options });
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
  options: Partial<PlanOptions> = {},
): Promise<{ final: Float32Array; calls: number; yields: number; planned: number }> {
  const denoiser = closedForm();
  const { plan, sampling } = start(sampler, steps, denoiser, options);
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
    if (name !== "dpm_adaptive") expect(yields).toBe(planned); // that one finds out itself
    expect(final.every(Number.isFinite)).toBe(true);
  });

  it.each([1, 2, 3])("gives all memory back when the consumer leaves after %i latents", async (latents) => {
    const denoiser = closedForm();
    let seen = 0;
    for await (const { latent } of start(name, 8, denoiser).sampling) {
      expect(latent.shape).toEqual(shape);
      if (++seen === latents) break;
    }
    denoiser.free();
  });

  it("gives all memory back when the denoiser fails", async () => {
    for (const failing of [1, 2, 3]) {
      const working = closedForm();
      let calls = 0;
      const fail = async <T>(answer: () => Promise<T>): Promise<T> => {
        if (++calls === failing) throw new Error("no answer");
        return await answer();
      };
      const denoiser = {
        denoise: (x: Tensor, sigma: number) => fail(() => working.denoise(x, sigma)),
        denoiseBoth: (x: Tensor, sigma: number) => fail(() => working.denoiseBoth(x, sigma)),
        eps: (x: Tensor, level: NoiseLevel) => fail(() => working.eps(x, level)),
        x0: (x: Tensor, level: NoiseLevel) => fail(() => working.x0(x, level)),
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

  it("is changed by eta, churn and the noise's scale, or says that they are ignored", async () => {
    const steps = name === "restart" ? 20 : 4; // it has no noise in fewer
    const { final } = await finish(name, steps);
    const entry = samplers.find((sampler) => sampler.name === name)!;
    for (const options of [{ eta: 0.5 }, { churn: 2 }, { noiseScale: 1.2 }]) {
      const other = (await finish(name, steps, options)).final;
      const same = final.every((value, i) => value === other[i]);
      expect([options, same]).toEqual([options, ignoredOptions(entry, options).length === 1]);
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

describe("PLMS of a single step", () => {
  // The original and A1111, whose 2 steps are a single one, from timestep 501 to 1, ask for the end's eps too; diffusers doesn't.
  it.each([
    ["diffusers", 1, 1],
    ["compvis", 1, 2],
    ["a1111", 2, 2],
  ] as const)("as in %s: %i asked for, %i calls", async (compat, steps, calls) => {
    const run = await finish("plms", steps, { compat });
    expect([run.calls, run.yields, run.planned]).toEqual([calls, calls, calls]);
  });

  it("goes along the mean of both in A1111", async () => {
    const [from, to] = [schedule.alphaBar[501]!, schedule.alphaBar[1]!];
    const eps = (x: number, timestep: number) => 0.8 * Math.sin(1.3 * x + 0.01 * timestep);
    const step = (x: number, e: number) =>
      (Math.sqrt(to) * (x - Math.sqrt(1 - from) * e)) / Math.sqrt(from) + Math.sqrt(1 - to) * e;
    const expected = Array.from(new TorchCpuGenerator(7n).randn(64), (x) => {
      const first = eps(x, 501);
      return step(x, (first + eps(step(x, first), 1)) / 2);
    });
    expect(compare((await finish("plms", 2, { compat: "a1111" })).final, expected).relativeError).toBeLessThanOrEqual(1e-5);
  });
});

describe("Heun in two steps", () => {
  it("loses no digits where its slope is divided by a small sigma", async () => {
    const [from, to] = planSampling(schedule, { sampler: "heun", steps: 2 }).sigmas as [number, number];
    const denoised = (x: number, sigma: number) =>
      x - sigma * 0.8 * Math.sin((1.3 * x) / Math.sqrt(sigma ** 2 + 1) + 0.01 * schedule.sigmaToTimestep(sigma));
    const expected = Array.from(new TorchCpuGenerator(7n).randn(64), (unit) => {
      const x = unit * from;
      const slope = (x - denoised(x, from)) / from;
      const x2 = x + (to - from) * slope;
      return denoised(x + ((to - from) * (slope + (x2 - denoised(x2, to)) / to)) / 2, to);
    });
    expect(compare((await finish("heun", 2)).final, expected).relativeError).toBeLessThanOrEqual(1e-5);
  });
});

describe("eta", () => {
  it("0 makes euler_ancestral Euler and dpm_2_ancestral DPM2", async () => {
    expect((await finish("euler_ancestral", 4, { eta: 0 })).final).toEqual((await finish("euler", 4)).final);
    expect((await finish("dpm_2_ancestral", 4, { eta: 0 })).final).toEqual((await finish("dpm_2", 4)).final);
  });

  it("1 makes DDIM noisy", async () => {
    expect((await finish("ddim", 4, { eta: 1 })).final).not.toEqual((await finish("ddim", 4)).final);
  });
});

describe("a constant x0", () => {
  // Where D = x0 everywhere, dx/dsigma = (x - x0)/sigma is a line through x0 that every deterministic solver follows exactly,
  // whatever its order (dpmpp_2m_v2 on steps that are even in log sigma). er_sde adds noise at any eta.
  const names = samplers.filter(({ space, name }) => space === "sigma" && name !== "er_sde").map(({ name }) => name);

  it.each(names)("is approached on a line by %s", async (name) => {
    const target = gpu.device.upload(new Float32Array(64).fill(0.5), shape);
    const both = { guided: target, negative: target };
    const denoiser = { denoise: () => target, denoiseBoth: () => both, eps: () => target, x0: () => target, free: () => {} };
    const { plan, sampling } = start(name, 6, denoiser, { eta: 0, schedule: "exponential" });
    const unit = new TorchCpuGenerator(7n).randn(64).map((value) => value * plan.initialNoiseScale);
    const offset = unit.map((value) => (value - 0.5) / plan.sigmas[0]!);
    for (;;) {
      const { done, value } = await sampling.next();
      const sigma = done ? 0 : value.sigma;
      if (!done) {
        const expected = offset.map((slope) => 0.5 + slope * sigma);
        expect(compare(await value.latent.read(), expected).maxAbsError, `sigma ${sigma}`).toBeLessThanOrEqual(3e-5);
        continue;
      }
      value.free();
      break;
    }
    target.free();
  });
});

describe("formulas without a recorded run", () => {
  // ComfyUI's (ddpm: its step in VP space) and (dpmpp_2m_v2) stable-diffusion.cpp's formulas in numpy, float64, on the closed form; every draw of noise is 0.3.
  it.each([
    ["res_multistep", 0, [15.9344, -7.133385, 9.956441, 24.45738]],
    ["res_multistep", 1, [16.891501, 2.206979, 21.3526, 24.87905]],
    ["er_sde", 1, [19.444316, -5.042277, 16.179054, 25.008907]],
    ["ipndm", 0, [17.675904, -6.874323, 9.638182, 23.832817]],
    ["dpmpp_2m_v2", 0, [15.536338, -9.642571, 9.516542, 22.857854]],
    ["ddpm", 1, [24.569899, -6.7720696, 18.957894, 25.112493]],
    ["lcm", 1, [24.66133, -6.7108991, 23.343873, 24.780881]],
  ] as const)("%s with eta %f", async (sampler, eta, expected) => {
    const denoiser = closedForm();
    const compat = sampler === "ddpm" || sampler === "lcm" ? "comfy" : undefined;
    const plan = planSampling(schedule, { sampler, eta, compat, steps: 6, sigmas: [14.6, 9, 5.2, 2.3, 1.1, 0.4, 0] });
    const x = gpu.device.upload(
      Float32Array.of(1, -0.5, 0.25, 2).map((value) => value * 14.6),
      [1, 1, 1, 4],
    );
    const sampling = plan.run({ denoiser, x, noise: () => gpu.device.upload(new Float32Array(4).fill(0.3), [1, 1, 1, 4]) });
    for (;;) {
      const { done, value } = await sampling.next();
      if (!done) continue;
      expect(compare(await value.read(), expected).relativeError).toBeLessThanOrEqual(1e-5);
      value.free();
      break;
    }
    denoiser.free();
  });
});

describe("CFG++", () => {
  /** D guided is 1, that of the negative prompt 0, everywhere. */
  async function lastOf(name: string, x: number, { steps = 3, noiseSchedule = schedule } = {}) {
    const { device } = gpu;
    const [guided, negative] = [1, 0].map((value) => device.upload(new Float32Array(64).fill(value), shape)) as [Tensor, Tensor];
    const refuse = () => {
      throw new Error("CFG++ asks for both");
    };
    const denoiser = { denoise: refuse, eps: refuse, x0: refuse, denoiseBoth: () => ({ guided, negative }) };
    const plan = planSampling(noiseSchedule, { sampler: name, steps });
    const noise = () => device.upload(new Float32Array(64), shape);
    const sampling = plan.run({ denoiser, x: device.upload(new Float32Array(64).fill(x), shape), noise });
    const { value } = await sampling.next();
    const latent = (await (value as { latent: Tensor }).latent.read())[0]!;
    await sampling.return(undefined as never);
    for (const tensor of [guided, negative]) tensor.free();
    return { latent, plan };
  }

  it("goes to the guided D along the negative prompt's noise", async () => {
    const { latent, plan } = await lastOf("euler_cfg_pp", 20);
    expect(latent).toBeCloseTo(1 + (plan.sigmas[1]! / plan.sigmas[0]!) * 20, 4);
    expect(plan).toMatchObject({ needsNegative: true, guidanceFactor: 1 });
  });

  it("does the same in VP space", async () => {
    const { latent, plan } = await lastOf("ddim_cfg_pp", 2);
    const [sigma, next] = plan.sigmas as [number, number];
    const inKSpace = 1 + (next / sigma) * (2 * Math.sqrt(sigma ** 2 + 1));
    expect(latent).toBeCloseTo(inKSpace / Math.sqrt(next ** 2 + 1), 4);
    expect(plan).toMatchObject({ needsNegative: true, guidanceFactor: 1 / 12.5 });
  });

  it("begins where no signal is left, and nearly all of x is noise", async () => {
    const noiseSchedule = new NoiseSchedule({ zeroTerminalSnr: true });
    expect(noiseSchedule.alphaBar[999]).toBe(0);
    const { latent } = await lastOf("ddim_cfg_pp", 2, { steps: 500, noiseSchedule });
    const next = noiseSchedule.alphaBar[997]!;
    expect(latent).toBeCloseTo(Math.sqrt(next) + 2 * Math.sqrt(1 - next), 5);
  });
});

describe("churn", () => {
  it("draws in every step and adds noise inside its window only", async () => {
    const draws = { count: 0 };
    const runWith = async (options: Partial<PlanOptions>) => {
      const denoiser = closedForm();
      draws.count = 0;
      const generator = new TorchCpuGenerator(7n);
      const plan = planSampling(schedule, { sampler: "euler", steps: 4, ...options });
      const x = gpu.device.upload(
        generator.randn(64).map((value) => value * plan.initialNoiseScale),
        shape,
      );
      const noise = () => {
        draws.count++;
        return gpu.device.upload(generator.randn(64), shape);
      };
      const sampling = plan.run({ denoiser, x, noise });
      for (;;) {
        const { done, value } = await sampling.next();
        if (!done) continue;
        const final = await value.read();
        value.free();
        denoiser.free();
        return final;
      }
    };
    const still = await runWith({});
    expect(draws.count).toBe(0);
    expect(await runWith({ churn: 2, churnMin: 20 })).toEqual(still);
    expect(draws.count).toBe(4);
    expect(await runWith({ churn: 2 })).not.toEqual(still);
    expect(await runWith({ churn: 2, noiseScale: 0 })).not.toEqual(still);
  });
});

describe("restart", () => {
  it("takes as many steps as asked for, with one way back up from 20 and two from 36", () => {
    for (const [steps, ups] of [
      [19, 0],
      [20, 1],
      [35, 1],
      [36, 2],
      [50, 2],
    ] as const) {
      const list = restartSteps(planSampling(schedule, { sampler: "restart", steps }).sigmas);
      expect(list.length).toBe(steps);
      expect(list.filter(([sigma], i) => i > 0 && sigma > list[i - 1]![1]).length, `${steps} steps`).toBe(ups);
      expect(list.at(-1)![1]).toBe(0);
    }
  });
});

describe("DPM fast", () => {
  it("spends exactly the calls it was given", async () => {
    for (const steps of [1, 2, 3, 4, 5, 6, 12, 20]) expect((await finish("dpm_fast", steps)).calls).toBe(steps);
  });
});

describe("DPM adaptive", () => {
  it("takes fewer steps, the easier the way, and ends where it is told", async () => {
    const easy = gpu.device.upload(new Float32Array(64).fill(0.5), shape);
    const both = { guided: easy, negative: easy };
    const denoiser = { denoise: () => easy, denoiseBoth: () => both, eps: () => easy, x0: () => easy, free: () => {} };
    let [steps, sigma] = [0, 0];
    const { sampling } = start("dpm_adaptive", 5, denoiser, { eta: 0 });
    for (;;) {
      const { done, value } = await sampling.next();
      if (done) {
        value.free();
        break;
      }
      steps++;
      sigma = value.sigma;
    }
    easy.free();
    expect(sigma).toBeCloseTo(schedule.sigmaMin, 9);
    // 6.2 in -ln sigma, from steps of 0.05 that grow by a factor below 1 + pi/2.
    expect(steps).toBeLessThan(8);
    expect((await finish("dpm_adaptive", 5, { eta: 0 })).yields).toBeGreaterThan(steps);
  });

  it("ends although the denoiser gives NaN", async () => {
    const nothing = gpu.device.upload(new Float32Array(64).fill(Number.NaN), shape);
    const both = { guided: nothing, negative: nothing };
    const denoiser = { denoise: () => nothing, denoiseBoth: () => both, eps: () => nothing, x0: () => nothing, free: () => {} };
    const { sampling } = start("dpm_adaptive", 5, denoiser);
    for (;;) {
      const { done, value } = await sampling.next();
      if (!done) continue;
      expect(await value.read()).toEqual(new Float32Array(64).fill(Number.NaN));
      value.free();
      break;
    }
    nothing.free();
  });
});

describe("zero terminal SNR", () => {
  const zero = new NoiseSchedule({ zeroTerminalSnr: true });

  it("ends in pure noise and leaves the first timestep as it is", () => {
    expect(zero.alphaBar[999]).toBe(0);
    expect(zero.alphaBar[0]).toBeCloseTo(schedule.alphaBar[0]!, 6);
    expect(zero.sigmaMax).toBeCloseTo(4518.76, 0);
    for (let t = 1; t < 1000; t++) expect(zero.alphaBar[t]! < zero.alphaBar[t - 1]!).toBe(true);
  });
});
