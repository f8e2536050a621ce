import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { resolveSchedule, schedules } from "../../model/sampling/index.ts";
import { NoiseSchedule } from "../../model/sampling/noise-schedule.ts";
import { compare, missing, recorded } from "./recorded.ts";

const noise = new NoiseSchedule();

if (missing) console.warn(`skipped: recorded schedules (${missing})`);

describe.skipIf(missing)("recorded schedules", () => {
  const file = missing ? undefined : recorded("samplers.safetensors");
  const names = [...(file?.shapes.keys() ?? [])].flatMap((name) => {
    const [, schedule = "", steps] = /^(?:schedule|k\.sigmas)\.([\w.]+)\.(\d+)$/.exec(name.replace(".sdxl", "_sdxl")) ?? [];
    return schedules.some((entry) => entry.name === schedule || entry.aliases.includes(schedule))
      ? [[name, schedule, Number(steps)] as const]
      : [];
  });

  it("hold every schedule that limn has but ComfyUI's GITS", () => {
    expect(new Set(names.map(([, schedule]) => resolveSchedule(schedule).name))).toEqual(
      new Set(schedules.map(({ name }) => name).filter((name) => name !== "gits")),
    );
  });

  it.each(names)("%s", async (name, schedule, steps) => {
    const sigmas = resolveSchedule(schedule).sigmas(noise, steps);
    const expected = await file!.read(name);
    expect(sigmas.length).toBe(expected.length);
    // Each sigma by itself: the small ones matter as much as the large ones.
    for (const [i, sigma] of sigmas.entries())
      expect(Math.abs(sigma - expected[i]!), `sigma ${i}`).toBeLessThanOrEqual(1e-5 * expected[i]!);
  });

  it("stand on the model's own tables", async () => {
    expect(compare(noise.alphaBar, await file!.read("alphas_cumprod")).maxAbsError).toBeLessThanOrEqual(1e-7);
    const sigmas = await file!.read("sigmas.model");
    for (const [t, sigma] of noise.sigmas.entries()) expect(Math.abs(sigma - sigmas[t]!)).toBeLessThanOrEqual(1e-5 * sigma);
  });
});

describe("noise schedule", () => {
  it("has Stable Diffusion's values", () => {
    for (const [t, alphaBar] of [
      [0, 0.99914998],
      [1, 0.998296],
      [100, 0.894223],
      [500, 0.276333],
      [999, 0.0046600983],
    ] as const) {
      expect(noise.alphaBar[t]).toBeCloseTo(alphaBar, 6);
    }
    expect(noise.sigmaMin).toBeCloseTo(0.02916753, 7);
    expect(noise.sigmaMax).toBeCloseTo(14.614642, 5);
  });

  it("takes sigma to a timestep and back", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 999, noNaN: true }), (timestep) => {
        expect(noise.sigmaToTimestep(noise.timestepToSigma(timestep))).toBeCloseTo(timestep, 6);
      }),
    );
  });

  it("clamps sigmas beyond the table", () => {
    expect(noise.sigmaToTimestep(1e-9)).toBe(0);
    expect(noise.sigmaToTimestep(1e9)).toBe(999);
  });

  it("refuses betas that are no schedule", () => {
    expect(() => new NoiseSchedule({ linearStart: 0.02, linearEnd: 0.01 })).toThrow(
      expect.objectContaining({ code: "INVALID_NOISE_SCHEDULE" }),
    );
  });

  it("follows its configuration", () => {
    const other = new NoiseSchedule({ linearStart: 0.001, linearEnd: 0.01, timesteps: 10 });
    expect(other.sigmas.length).toBe(10);
    expect(other.alphaBar[0]).toBeCloseTo(0.999, 6);
    expect(resolveSchedule("simple").sigmas(other, 5).length).toBe(6);
  });
});

describe("every schedule", () => {
  // 1000 steps is as many as a user may ask for.
  it.each(schedules.map(({ name, sigmas }) => [name, sigmas] as const))(
    "%s falls to its end for any number of steps",
    (name, sigmas) => {
      for (const steps of [1, 2, 3, 7, 20, 50, 333, 999, 1000]) {
        const values = sigmas(noise, steps);
        expect(values.at(-1)).toBe(name === "kl_optimal" ? Math.tan(Math.atan(noise.sigmaMin)) : 0);
        for (let i = 0; i + 1 < values.length; i++)
          expect(values[i]! > values[i + 1]!, `${steps} steps, ${i}: ${values[i]} > ${values[i + 1]}`).toBe(true);
        expect(values[0]).toBeLessThanOrEqual(noise.sigmaMax * (1 + 1e-4));
      }
    },
  );
});
