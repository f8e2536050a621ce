/** @file How much of a schedule a run from a picture takes. */
import { describe, expect, it } from "vitest";
import { type Compatibility, NoiseSchedule, planSampling } from "../../model/sampling/index.ts";
import { shareOf } from "../../model/sampling/strength.ts";

const noise = new NoiseSchedule();

describe("shareOf", () => {
  it.each([
    // A1111's own example: 20 steps at 0.75 make 16 calls.
    [20, 0.75, 16, 15],
    [20, 0.9995, 20, 19],
    [20, 0.01, 1, 1],
    [1, 0.5, 1, 1],
  ])("%i steps at %d: the last %i, or %i with timesteps", (steps, strength, sigmaSteps, timestepSteps) => {
    expect(shareOf({ steps, strength }, noise)).toEqual({ steps, sigmaSteps, timestepSteps, noisedBefore: 0 });
  });

  it("0 runs nothing, 1 and no strength are txt2img", () => {
    expect(shareOf({ steps: 20, strength: 0 }, noise)).toMatchObject({ sigmaSteps: 0, timestepSteps: 0 });
    expect(shareOf({ steps: 20, strength: 1 }, noise)).toBeUndefined();
    expect(shareOf({ steps: 20 }, noise)).toBeUndefined();
  });

  it("exact: all steps, of a longer schedule that has no more steps than timesteps", () => {
    expect(shareOf({ steps: 20, strength: 0.75, stepRule: "exact" }, noise)).toMatchObject({ steps: 26, sigmaSteps: 20 });
    expect(shareOf({ steps: 20, strength: 0.75, stepRule: "exact", compat: "a1111" }, noise)).toMatchObject({
      steps: 26,
      sigmaSteps: 20,
      timestepSteps: 18, // timesteps[:19], of which the first is never asked at
      noisedBefore: 1,
    });
    expect(shareOf({ steps: 50, strength: 0.01, stepRule: "exact" }, noise)).toMatchObject({ steps: 1000, sigmaSteps: 50 });
  });

  it("other programs, to the letter", () => {
    const at = (strength: number, compat: Compatibility) => shareOf({ steps: 20, strength, compat }, noise);
    expect(at(1, "a1111")).toMatchObject({ sigmaSteps: 20, timestepSteps: 18, noisedBefore: 1 });
    expect(at(0, "a1111")).toMatchObject({ sigmaSteps: 1, timestepSteps: 0 });
    expect(at(0.75, "compvis")).toMatchObject({ timestepSteps: 15, noisedBefore: 1 });
    expect(at(0.75, "diffusers")).toMatchObject({ steps: 20, sigmaSteps: 15, timestepSteps: 15 });
    expect(at(0.6, "comfy")).toMatchObject({ steps: 33, sigmaSteps: 20 });
  });
});

describe("plans", () => {
  it("k-space: the tail of the whole schedule, the latent under its first noise", () => {
    const whole = planSampling(noise, { steps: 20, sampler: "euler" });
    const part = planSampling(noise, { steps: 20, sampler: "euler", strength: 0.75 });
    expect(part.sigmas).toEqual(whole.sigmas.slice(-17));
    expect([part.yields, part.initialLatentScale, part.initialNoiseScale]).toEqual([16, 1, part.sigmas[0]]);
    expect([whole.initialLatentScale, whole.initialNoiseScale]).toEqual([0, whole.sigmas[0]]);
  });

  it("a schedule of more levels than steps: sigmas[steps - t_enc - 1:], and ComfyUI's the last of them", () => {
    const asked = { steps: 30, sampler: "euler", schedule: "ddim" };
    const whole = planSampling(noise, asked); // 31 levels, and 0
    expect(whole.sigmas.length).toBe(32);
    expect(planSampling(noise, { ...asked, strength: 0.5, compat: "a1111" }).sigmas).toEqual(whole.sigmas.slice(14));
    expect(planSampling(noise, { ...asked, strength: 0.99999, compat: "comfy" }).sigmas).toEqual(whole.sigmas.slice(-31));
  });

  it("VP space: variance-preserving from the first transition's alphaBar", () => {
    const part = planSampling(noise, { steps: 20, sampler: "ddim", strength: 0.5 });
    const alphaBar = 1 / (part.sigmas[0]! ** 2 + 1);
    expect(part.yields).toBe(10);
    expect(part.initialLatentScale).toBeCloseTo(Math.sqrt(alphaBar), 12);
    expect(part.initialNoiseScale).toBeCloseTo(Math.sqrt(1 - alphaBar), 12);
  });

  it("the original's DDIM and A1111's: noise of the timestep above the first that is asked at", () => {
    for (const compat of ["compvis", "a1111"] as const) {
      const part = planSampling(noise, { steps: 20, sampler: "ddim", strength: 0.75, compat });
      // Timesteps 1, 51, ..: t_enc = 15 is 751, the first step is that of 701.
      expect(part.sigmas[0], compat).toBeCloseTo(noise.sigmas[701]!, 5);
      expect(part.initialLatentScale, compat).toBeCloseTo(Math.sqrt(noise.alphaBar[751]!), 12);
      expect(part.yields, compat).toBe(compat === "compvis" ? 15 : 14);
    }
  });

  it("A1111's LCM begins as its other samplers in k-space do", () => {
    const whole = planSampling(noise, { steps: 8, sampler: "lcm", compat: "a1111" });
    expect(whole.initialNoiseScale).toBeCloseTo(Math.sqrt(1 - noise.alphaBar[999]!), 6);
    const part = planSampling(noise, { steps: 8, sampler: "lcm", compat: "a1111", strength: 0.75 });
    expect(part.sigmas).toEqual(whole.sigmas.slice(-8));
    expect(part.initialNoiseScale / part.initialLatentScale).toBeCloseTo(part.sigmas[0]!, 6);
  });

  it("A1111's UniPC begins on DDIM's timesteps, from the noise of the one above", () => {
    const part = planSampling(noise, { steps: 20, sampler: "unipc", compat: "a1111", strength: 0.75 });
    expect(part.yields).toBe(15);
    expect(part.sigmas[0]).toBeCloseTo(noise.sigmas[701]!, 6);
    expect(part.sigmas.at(-1)).toBeCloseTo(noise.sigmaMin, 9);
    const toVp = 1 / Math.sqrt(part.sigmas[0]! ** 2 + 1);
    expect(toVp * part.initialLatentScale).toBeCloseTo(Math.sqrt(noise.alphaBar[751]!), 9);
    expect(toVp * part.initialNoiseScale).toBeCloseTo(Math.sqrt(1 - noise.alphaBar[751]!), 9);
    // Other rules, and levels that are asked for: as all samplers in k-space.
    for (const own of [{}, { compat: "a1111", schedule: "karras" }] as const)
      expect(planSampling(noise, { steps: 20, sampler: "unipc", strength: 0.75, ...own }).initialLatentScale).toBe(1);
  });

  it.each(["dpm_fast", "dpm_adaptive"])("%s begins where other samplers do", (sampler) => {
    const { sigmas } = planSampling(noise, { steps: 20, sampler, strength: 0.75 });
    expect(sigmas[0]).toBe(planSampling(noise, { steps: 20, sampler: "euler", strength: 0.75 }).sigmas[0]);
    expect(sigmas.findLast((sigma) => sigma > 0)).toBeCloseTo(noise.sigmaMin, 12);
    expect(planSampling(noise, { steps: 1, sampler }).sigmas).toEqual([noise.sigmaMax, noise.sigmaMin]);
  });

  it("ComfyUI: the Brownian path is that of the part that runs, and a whole schedule begins with unit variance", () => {
    const comfy = { steps: 20, compat: "comfy" } as const;
    const { brownian, sigmas } = planSampling(noise, { ...comfy, sampler: "dpmpp_sde", strength: 0.5 });
    expect(brownian).toEqual({ sigmaMin: sigmas.at(-2), sigmaMax: sigmas[0] });
    const whole = planSampling(noise, { ...comfy, sampler: "euler", strength: 1 });
    expect(whole.initialNoiseScale).toBeCloseTo(Math.sqrt(noise.sigmaMax ** 2 + 1), 6);
    expect(whole.initialLatentScale).toBe(1);
  });

  it("the Brownian path is that of the whole schedule", () => {
    const whole = planSampling(noise, { steps: 20, sampler: "dpmpp_2m_sde" });
    expect(planSampling(noise, { steps: 20, sampler: "dpmpp_2m_sde", strength: 0.3 }).brownian).toEqual(whole.brownian);
  });

  it("no step: the latent comes back", async () => {
    for (const sampler of ["euler", "ddim", "dpm_adaptive"]) {
      const plan = planSampling(noise, { steps: 20, sampler, strength: 0 });
      expect([plan.yields, plan.initialLatentScale, plan.initialNoiseScale]).toEqual([0, 1, 0]);
      const x = { it: "is handed on" } as never;
      expect(await plan.run({ x, denoiser: undefined as never, noise: undefined as never }).next()).toEqual({
        done: true,
        value: x,
      });
    }
  });
});
