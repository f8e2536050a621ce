import { describe, expect, it } from "vitest";
import {
  editDistance,
  leadingTransitions,
  NoiseSchedule,
  nearestName,
  planSampling,
  resolveSampling,
  samplers,
  schedules,
} from "../../model/sampling/index.ts";

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
    ["uni_pc", undefined, "unipc", undefined],
    ["UniPC", "karras", "unipc", "karras"],
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
