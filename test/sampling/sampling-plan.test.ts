import { describe, expect, it } from "vitest";
import {
  alphaBarToSigma,
  editDistance,
  ignoredOptions,
  leadingTransitions,
  NoiseSchedule,
  nearestName,
  type PlanOptions,
  planSampling,
  resolveSampling,
  samplers,
  schedules,
} from "../../model/sampling/index.ts";
import { a1111LcmTransitions } from "../../model/sampling/transitions.ts";

const noise = new NoiseSchedule();
const choose = (sampler?: string, schedule?: string) => {
  const choice = resolveSampling({ sampler, schedule });
  return [choice.sampler.name, choice.schedule?.name, choice.scheduleIgnored];
};

describe("names", () => {
  it.each([
    [undefined, undefined, "dpmpp_2m", "karras"],
    ["euler", undefined, "euler", "discrete"],
    ["dpmpp_2m", undefined, "dpmpp_2m", "karras"],
    ["dpmpp_2m", "uniform", "dpmpp_2m", "discrete"],
    [undefined, "simple", "dpmpp_2m", "simple"],
    ["euler_a", undefined, "euler_ancestral", "discrete"],
    ["Euler a", "Karras", "euler_ancestral", "karras"],
    ["DPM++ 2M Karras", undefined, "dpmpp_2m", "karras"],
    ["dpm++ 2m sgm uniform", undefined, "dpmpp_2m", "sgm_uniform"],
    ["DPM++ 2M Karras", "exponential", "dpmpp_2m", "exponential"],
    ["LMS Karras", undefined, "lms", "karras"],
    ["Heun DDIM", undefined, "heun", "ddim"],
    ["DPM2 a", undefined, "dpm_2_ancestral", "karras"],
    ["DPM++ 3M SDE", undefined, "dpmpp_3m_sde", "exponential"],
    ["DPM++ 2M SDE Heun Karras", undefined, "dpmpp_2m_sde_heun", "karras"],
    ["Euler a", "Automatic", "euler_ancestral", "discrete"],
    ["DPM++ 2M", "automatic", "dpmpp_2m", "karras"],
    ["DPM++ 2M Automatic", undefined, "dpmpp_2m", "karras"],
    ["Euler a Automatic", undefined, "euler_ancestral", "discrete"],
    ["dpmpp_3m_sde_automatic", "karras", "dpmpp_3m_sde", "karras"],
    ["DDIM Automatic", undefined, "ddim", undefined],
    ["uni_pc", undefined, "unipc", undefined],
    ["UniPC", "karras", "unipc", "karras"],
    ["dpm++2m_sde", undefined, "dpmpp_2m_sde", "exponential"],
    ["k_euler_a", undefined, "euler_ancestral", "discrete"],
    ["k_dpm_2_a", undefined, "dpm_2_ancestral", "karras"],
    ["k_dpm_2_a_ka", "exponential", "dpm_2_ancestral", "exponential"],
    ["k_lms_ka", undefined, "lms", "karras"],
    ["k_dpm_ad", undefined, "dpm_adaptive", undefined],
    ["dpm++2m_sde_bt", undefined, "dpmpp_2m_sde", "exponential"],
    ["dpm++2mv2", undefined, "dpmpp_2m_v2", "karras"],
    ["euler_a_cfg_pp", undefined, "euler_ancestral_cfg_pp", "discrete"],
  ])("%s, %s", (sampler, schedule, expectedSampler, expectedSchedule) => {
    expect(choose(sampler, schedule)).toEqual([expectedSampler, expectedSchedule, false]);
  });

  it("of samplers on timesteps ignore a schedule and say so", () => {
    expect(choose("ddim")).toEqual(["ddim", undefined, false]);
    expect(choose("DDIM", "karras")).toEqual(["ddim", undefined, true]);
    expect(choose("PLMS Karras")).toEqual(["plms", undefined, true]);
    expect(choose("DPM fast", "karras")).toEqual(["dpm_fast", undefined, true]);
  });

  it("are each found by name, alias and label, and mean one thing", () => {
    for (const { name, label, aliases } of samplers)
      for (const spelling of [name, label, ...aliases]) expect(choose(spelling)[0]).toBe(name);
    for (const { name, label, aliases } of schedules)
      for (const spelling of [name, label, ...aliases]) expect(choose("euler", spelling)[1]).toBe(name);
  });

  it.each([
    ["eulr", undefined, "UNKNOWN_SAMPLER", "euler"],
    ["dpmpp_2n", undefined, "UNKNOWN_SAMPLER", "dpmpp_2m"],
    ["euler_ancestrl", undefined, "UNKNOWN_SAMPLER", "euler_ancestral"],
    ["euler", "karas", "UNKNOWN_SCHEDULE", "karras"],
    ["ddim", "karas", "UNKNOWN_SCHEDULE", "karras"],
  ])("%s, %s is a typo", (sampler, schedule, code, nearest) => {
    expect(() => resolveSampling({ sampler, schedule })).toThrow(
      expect.objectContaining({
        code,
        hint: expect.stringContaining(`did you mean ${nearest}?`),
        context: expect.objectContaining({ nearest }),
      }),
    );
  });

  it.each([
    ["er_sde", { eta: 0.5 }, ["sampler er_sde takes no eta: eta 0.5 is ignored"]],
    ["ddpm", { eta: 1, churn: 0, noiseScale: 1 }, ["sampler ddpm takes no eta: eta 1 is ignored"]],
    ["ddim", { eta: 1, noiseScale: 2 }, ["sampler ddim scales no noise: noise-scale 2 is ignored"]],
    ["euler_ancestral", { eta: 0, noiseScale: 2 }, ["sampler euler_ancestral scales no noise: noise-scale 2 is ignored"]],
    ["euler", { churn: 1, churnMin: 2, churnMax: 3, noiseScale: 2 }, []],
    ["euler", { churnMin: 2 }, ["sampler euler has no churn here: churn-min 2 is ignored"]],
    [
      "dpmpp_2m",
      { churn: 1, churnMax: 3 },
      ["sampler dpmpp_2m takes no churn: churn 1 is ignored", "sampler dpmpp_2m takes no churn: churn-max 3 is ignored"],
    ],
  ])("%s says which of %o it ignores", (sampler, options, expected) => {
    expect(ignoredOptions(resolveSampling({ sampler }).sampler, options)).toEqual(expected);
  });

  it("far from all get the list", () => {
    expect(() => resolveSampling({ sampler: "xyzzy-9000" })).toThrow(
      expect.objectContaining({ hint: expect.stringMatching(/^choose one of ddpm, ddim/) }),
    );
    expect(nearestName("", ["a", "b"])).toBeUndefined();
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
  });
});

describe("plan", () => {
  it.each([0, -5, 3.5, 1001, Number.NaN])("refuses %s steps", (steps) => {
    expect(() => planSampling(noise, { steps })).toThrow(expect.objectContaining({ code: "INVALID_STEPS" }));
  });

  it.each([-0.1, 1.1, Number.NaN])("refuses eta %s", (eta) => {
    expect(() => planSampling(noise, { steps: 5, eta })).toThrow(expect.objectContaining({ code: "INVALID_ETA" }));
  });

  it.each([
    [[14], "INVALID_SIGMAS"],
    [[], "INVALID_SIGMAS"],
    [[1, 2, 0], "INVALID_SIGMAS"],
    [[3, 3, 0], "INVALID_SIGMAS"],
    [[3, 1, -1], "INVALID_SIGMAS"],
    [[Number.POSITIVE_INFINITY, 1, 0], "INVALID_SIGMAS"],
    [[3, Number.NaN, 0], "INVALID_SIGMAS"],
  ] as const)("refuses the sigmas %j", (sigmas, code) => {
    expect(() => planSampling(noise, { steps: 20, sigmas: [...sigmas] })).toThrow(expect.objectContaining({ code }));
  });

  it.each([
    [{ churn: -1 }, "INVALID_CHURN"],
    [{ churnMin: Number.NaN }, "INVALID_CHURN_RANGE"],
    [{ churnMin: 3, churnMax: 2 }, "INVALID_CHURN_RANGE"],
    [{ noiseScale: Number.POSITIVE_INFINITY }, "INVALID_NOISE_SCALE"],
    [{ rho: 0 }, "INVALID_RHO"],
    [{ betaAlpha: 0 }, "INVALID_BETA_ALPHA"],
    [{ betaBeta: Number.NaN }, "INVALID_BETA_BETA"],
    [{ strength: 1.5 }, "INVALID_STRENGTH"],
    [{ strength: -0.1 }, "INVALID_STRENGTH"],
    [{ strength: Number.NaN }, "INVALID_STRENGTH"],
    [{ sigmaMin: 20 }, "INVALID_SIGMA_RANGE"],
    [{ sigmaMin: 0 }, "INVALID_SIGMA_RANGE"],
    [{ sampler: "ddim", sigmas: [10, 1, 0] }, "SIGMAS_NOT_TAKEN"],
    [{ sampler: "dpm_fast", sigmas: [10, 0] }, "INVALID_SIGMAS"],
  ] as const)("refuses %j", (options, code) => {
    expect(() => planSampling(noise, { steps: 5, ...options })).toThrow(
      expect.objectContaining({ code, hint: expect.any(String) }),
    );
  });

  it("lets no sampler that goes by eps begin where there is none to tell the picture from", () => {
    const zero = new NoiseSchedule({ zeroTerminalSnr: true });
    const plan = (steps: number, compat?: "a1111") => planSampling(zero, { sampler: "plms", steps, compat });
    const refused = expect.objectContaining({ code: "NO_SIGNAL" });
    for (const steps of [500, 1000]) expect(() => plan(steps)).toThrow(refused);
    for (const steps of [9, 27, 37]) expect(() => plan(steps, "a1111")).toThrow(refused);
    expect(plan(9).yields).toBe(10);
    expect(plan(20).yields).toBe(21);
  });

  it("takes sigmas as they are", () => {
    const plan = planSampling(noise, { sampler: "dpm_2", steps: 999, sigmas: [10, 3, 0.5] });
    expect(plan.sigmas).toEqual([10, 3, 0.5]);
    expect(plan).toMatchObject({ yields: 2, initialNoiseScale: 10 });
  });

  it("leaves out the sigma before the last where A1111 or ComfyUI does, or the user says so", () => {
    const count = (options: Partial<PlanOptions>) => {
      const { sigmas } = planSampling(noise, { steps: 10, ...options });
      expect(sigmas.length).toBe(11);
      return sigmas.at(-2);
    };
    const kept = noise.sigmaMin;
    expect(count({ sampler: "dpmpp_2m" })).toBeCloseTo(kept, 9);
    expect(count({ sampler: "dpmpp_2m", discardPenultimate: true })).toBeGreaterThan(kept * 1.5);
    expect(count({ sampler: "dpm_2" })).toBeGreaterThan(kept * 1.5);
    expect(count({ sampler: "dpm_2", discardPenultimate: false })).toBeCloseTo(kept, 9);
    expect(count({ sampler: "dpm_2", compat: "comfy" })).toBeGreaterThan(kept * 1.5);
    expect(count({ sampler: "dpmpp_3m_sde", compat: "comfy" })).toBeCloseTo(kept, 9);
    expect(count({ sampler: "dpmpp_3m_sde", compat: "a1111" })).toBeGreaterThan(kept * 1.5);
  });

  it("starts with unit variance where the program does", () => {
    const scale = (options: Partial<PlanOptions>) => planSampling(noise, { steps: 10, ...options }).initialNoiseScale;
    const [sigma, unit] = [noise.sigmaMax, Math.sqrt(noise.sigmaMax ** 2 + 1)];
    expect(scale({ sampler: "euler" })).toBeCloseTo(sigma, 6);
    expect(scale({ sampler: "euler", compat: "a1111" })).toBeCloseTo(sigma, 6);
    expect(scale({ sampler: "euler", compat: "comfy" })).toBeCloseTo(unit, 6);
    expect(scale({ sampler: "euler", compat: "comfy", sigmas: [5, 1, 0] })).toBe(5);
    expect(scale({ sampler: "unipc" })).toBeCloseTo(unit, 6);
    expect(scale({ sampler: "ddim_trailing", compat: "comfy" })).toBe(1);
  });

  it("starts with unit variance in diffusers, wherever a schedule begins", () => {
    const plan = (options: Partial<PlanOptions>) => planSampling(noise, { steps: 10, compat: "diffusers", ...options });
    const at901 = Math.sqrt(noise.sigmas[901]! ** 2 + 1);
    for (const sampler of ["euler", "euler_a", "dpmpp_2m"]) expect(plan({ sampler }).initialNoiseScale).toBeCloseTo(at901, 6);
    const trailing = { schedule: "trailing" };
    expect(plan({ sampler: "euler", ...trailing }).initialNoiseScale).toBe(noise.sigmaMax);
    expect(plan({ sampler: "dpmpp_2m", ...trailing }).initialNoiseScale).toBeGreaterThan(noise.sigmaMax);
    const part = plan({ sampler: "euler", strength: 0.5 });
    expect(part.initialNoiseScale).toBe(part.sigmas[0]);
  });

  it("yields as often as restart goes back and forth", () => {
    const yields = (sigmas: number[]) => planSampling(noise, { sampler: "restart", steps: 20, sigmas }).yields;
    const from = (largest: number) => [...Array.from({ length: 20 }, (_, i) => largest * 0.8 ** i), 0];
    expect([yields(from(14)), yields(from(0.1))]).toEqual([20, 11]);
  });

  it("follows A1111's and the original's timesteps of DDIM", () => {
    const asked = (compat: PlanOptions["compat"], steps = 20) => planSampling(noise, { sampler: "ddim", steps, compat }).yields;
    expect([asked(undefined), asked("a1111"), asked("compvis"), asked("diffusers")]).toEqual([20, 19, 20, 20]);
    // 1000 is no multiple of 30.
    expect([asked(undefined, 30), asked("a1111", 30), asked("compvis", 30)]).toEqual([30, 30, 31]);
  });

  // NoiseScheduleVP of the A1111 web UI in numpy, float64: log alpha interpolated, at t = linspace(1, 0.001, n + 1).
  it.each([
    [20, 20, [10.90731851, 2.739084084, 0.2254536681, 0.02916753317]],
    [30, 31, [12.0717716, 4.536933141, 0.1769886599, 0.02916753317]],
  ])("follows A1111's noise levels of UniPC: %i steps are %i", (steps, run, expected) => {
    const { sigmas, yields } = planSampling(noise, { sampler: "unipc", steps, compat: "a1111" });
    expect(yields).toBe(run);
    for (const [i, place] of [1, 7, run - 1, run].entries()) expect(sigmas[place]! / expected[i]!).toBeCloseTo(1, 7);
  });

  it("takes ComfyUI's ddim for what it is there: Euler's method, on any schedule", () => {
    const options = { steps: 10, schedule: "ddim_uniform", compat: "comfy" } as const;
    const { choice, sigmas } = planSampling(noise, { ...options, sampler: "ddim" });
    expect([choice.sampler.name, choice.scheduleIgnored]).toEqual(["euler", false]);
    expect(sigmas).toEqual(planSampling(noise, { ...options, sampler: "euler" }).sigmas);
  });

  it("takes ComfyUI's ddpm and lcm for what they are there: samplers on any schedule", () => {
    const names = (sampler: string) => {
      const plan = planSampling(noise, { sampler, steps: 10, schedule: "karras", compat: "comfy" });
      expect(plan.sigmas).toEqual(schedules.find(({ name }) => name === "karras")!.sigmas(noise, 10));
      return [plan.choice.sampler.name, plan.choice.sampler.space, plan.choice.sampler.noise];
    };
    expect(names("ddpm")).toEqual(["euler_ancestral", "sigma", "eta"]);
    expect(names("LCM")).toEqual(["lcm", "sigma", "always"]);
    expect(resolveSampling({ sampler: "lcm" }).sampler.space).toBe("timestep");
  });

  it("follows A1111's timesteps of LCM, the nearest distilled ones", () => {
    const plan = (compat: PlanOptions["compat"]) => planSampling(noise, { sampler: "lcm", steps: 4, compat });
    const { sigmas } = plan("a1111");
    expect(sigmas[0]).toBeCloseTo(noise.sigmas[999]!, 5);
    // Positions 49, 32.67, 16.33 and 0 of 50: between the timesteps 659 and 679, 339 and 359.
    expect(sigmas[1]).toBeGreaterThan(noise.sigmas[659]!);
    expect(sigmas[1]).toBeLessThan(noise.sigmas[679]!);
    expect(sigmas[3]).toBeCloseTo(noise.sigmas[19]!, 6);
    expect(sigmas[4]).toBe(0);
    expect(a1111LcmTransitions(noise, 4).map(({ timestep }) => timestep)).toEqual([999, 679, 339, 19]);
    expect(plan(undefined).sigmas).toEqual([...[999, 759, 499, 259].map((t) => alphaBarToSigma(noise.alphaBar[t]!)), 0]);
  });

  it("follows diffusers' leading timesteps", () => {
    const sigmas = (options: Partial<PlanOptions>) => planSampling(noise, { steps: 10, compat: "diffusers", ...options }).sigmas;
    expect(sigmas({ sampler: "euler" })[0]).toBe(noise.sigmas[901]);
    expect(sigmas({ sampler: "dpmpp_2m" })[0]).toBe(noise.sigmas[901]);
    expect(sigmas({ sampler: "dpmpp_2m" }).at(-2)).toBe(noise.sigmas[91]);
    expect(sigmas({ sampler: "euler", schedule: "karras" })[0]).toBeCloseTo(noise.sigmaMax, 6);
    expect(sigmas({ sampler: "DPM++ 2M Karras" })[0]).toBeCloseTo(noise.sigmaMax, 6);
    expect(sigmas({ sampler: "dpm_fast" })[0]).toBeCloseTo(noise.sigmaMax, 6);
  });

  it("ends DEIS at the smallest sigma in diffusers, which has no other end for it", () => {
    const ends = (options: Partial<PlanOptions>) =>
      planSampling(noise, { sampler: "deis", steps: 10, ...options }).sigmas.slice(-2);
    expect(ends({ compat: "diffusers" })).toEqual([noise.sigmas[91], noise.sigmaMin]);
    expect(ends({ compat: "diffusers", schedule: "karras" })[1]).toBe(noise.sigmaMin);
    expect(ends({})[1]).toBe(0);
    expect(planSampling(noise, { sampler: "dpmpp_2m", steps: 10, compat: "diffusers" }).sigmas.at(-1)).toBe(0);
  });

  it("knows which samplers want a Brownian path, over the sigmas above 0", () => {
    const plan = planSampling(noise, { sampler: "DPM++ SDE Karras", steps: 10 });
    expect(plan.brownian).toEqual({ sigmaMin: plan.sigmas[9], sigmaMax: plan.sigmas[0] });
    expect(planSampling(noise, { sampler: "euler_a", steps: 10 }).brownian).toBeUndefined();
  });

  it("starts at the largest sigma in k-space and at 1 in VP space", () => {
    expect(planSampling(noise, { steps: 5 }).initialNoiseScale).toBeCloseTo(14.614642, 5);
    expect(planSampling(noise, { sampler: "ddim", steps: 5 }).initialNoiseScale).toBe(1);
  });
});

describe("leading timesteps", () => {
  it("are diffusers'", () => {
    const transitions = leadingTransitions(noise, 10, { offset: 1, finalAlphaBar: noise.alphaBar[0]! });
    expect(transitions.map(({ timestep }) => timestep)).toEqual([901, 801, 701, 601, 501, 401, 301, 201, 101, 1]);
    expect(transitions.at(-1)!.nextAlphaBar).toBe(noise.alphaBar[0]);
    for (const [i, { alphaBar }] of transitions.slice(1).entries()) expect(transitions[i]!.nextAlphaBar).toBe(alphaBar);
  });

  it("stay inside the table with as many steps as it has", () => {
    const transitions = leadingTransitions(noise, 1000, { offset: 1, finalAlphaBar: noise.alphaBar[0]! });
    expect(transitions.slice(0, 3).map(({ timestep }) => timestep)).toEqual([999, 999, 998]);
    for (const { alphaBar, nextAlphaBar } of transitions) expect(nextAlphaBar >= alphaBar).toBe(true);
  });
});
