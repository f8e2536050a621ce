import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { betaQuantile } from "../../model/sampling/beta-quantile.ts";
import { resolveSchedule, schedules } from "../../model/sampling/index.ts";
import { NoiseSchedule } from "../../model/sampling/noise-schedule.ts";
import { variantOf } from "../../model/sampling/schedule-table.ts";
import { skipped } from "../skip.ts";
import { compare, missing, recorded } from "./recorded.ts";

const noise = new NoiseSchedule();

describe.skipIf(skipped("recorded schedules", missing))("recorded schedules", () => {
  const file = missing ? undefined : recorded("samplers.safetensors");
  const names = [...(file?.shapes.keys() ?? [])].flatMap((name) => {
    const [, schedule = "", steps] = /^(?:schedule|k\.sigmas)\.([\w.]+)\.(\d+)$/.exec(name.replace(".sdxl", "_sdxl")) ?? [];
    return schedules.some((entry) => entry.name === schedule || entry.aliases.includes(schedule))
      ? [[name, schedule, Number(steps)] as const]
      : [];
  });

  it("hold every schedule that limn has but those of ComfyUI and diffusers", () => {
    expect(new Set(names.map(([, schedule]) => resolveSchedule(schedule).name))).toEqual(
      new Set(schedules.map(({ name }) => name).filter((name) => name !== "gits" && name !== "trailing")),
    );
  });

  it("whole timesteps where a half or a whole number is near: as Python rounds", () => {
    // int(19 * (1000 / 38)) is 499; numpy's arange(1000, 0, -1000 / 48) has a little less than 937.5 and 687.5 there.
    expect(resolveSchedule("simple").sigmas(noise, 38)[19]).toBe(noise.sigmas[999 - 499]);
    const trailing = resolveSchedule("trailing").sigmas(noise, 48);
    expect([trailing[3], trailing[15]]).toEqual([noise.sigmas[936], noise.sigmas[686]]);
  });

  it("trailing spacing: from the last timestep down in even steps (Lin et al. 2024, table 2)", () => {
    expect(resolveSchedule("trailing").sigmas(noise, 4)).toEqual([...[999, 749, 499, 249].map((t) => noise.sigmas[t]!), 0]);
    expect(resolveSchedule("Trailing").sigmas(noise, 1)).toEqual([noise.sigmas[999]!, 0]);
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

function near(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  // Given to six digits.
  for (const [i, value] of expected.entries())
    expect(Math.abs(actual[i]! - value)).toBeLessThanOrEqual(5e-6 * Math.max(value, 0.1));
}

describe("variants", () => {
  const comfy = (name: string, steps: number) => variantOf(resolveSchedule(name), { compat: "comfy" })(noise, steps);

  it("of ComfyUI have its values", () => {
    near(comfy("beta", 10), [14.6146, 11.5428, 7.37184, 4.3728, 2.61524, 1.61828, 1.02733, 0.654885, 0.39551, 0.199059, 0]);
    near(
      comfy("kl_optimal", 10),
      [14.6146, 4.23235, 2.39372, 1.59707, 1.133, 0.815245, 0.572915, 0.372484, 0.195289, 0.0291675, 0],
    );
    near(
      comfy("align_your_steps", 10),
      [14.6146412, 6.4745761, 3.8636746, 2.6946152, 1.8841921, 1.3943805, 0.9642584, 0.6523686, 0.3977456, 0.1515233, 0],
    );
    expect(comfy("karras", 10)).toEqual(resolveSchedule("karras").sigmas(noise, 10));
  });

  it("of ComfyUI's beta drop repeated timesteps", () => {
    const sigmas = comfy("beta", 300);
    expect(sigmas.length).toBeLessThan(301);
    expect(new Set(sigmas).size).toBe(sigmas.length);
  });

  it("of SDXL are its own levels", () => {
    const sdxl = variantOf(resolveSchedule("align_your_steps"), { sdxl: true });
    expect(sdxl(noise, 12)).toEqual(resolveSchedule("align_your_steps_sdxl").sigmas(noise, 12));
  });

  it("take rho and the range of sigma", () => {
    near(
      resolveSchedule("polyexponential").sigmas(noise, 10, { rho: 2 }),
      [14.6146, 3.9641, 1.25362, 0.462222, 0.1987, 0.0995889, 0.0581952, 0.0396486, 0.0314943, 0.0291675, 0],
    );
    const old = resolveSchedule("karras").sigmas(noise, 5, { sigmaMin: 0.1, sigmaMax: 10 });
    expect(old[0]).toBeCloseTo(10, 9);
    expect(old[4]).toBeCloseTo(0.1, 9);
  });

  it("GITS has its table, and interpolates it beyond 20 steps", () => {
    const gits = resolveSchedule("gits");
    expect(gits.sigmas(noise, 4)).toEqual([14.61464119, 2.36326075, 0.92192322, 0.36617002, 0]);
    expect(gits.sigmas(noise, 20)[19]).toBe(0.09824532);
    expect(gits.sigmas(noise, 40)[2]).toBeCloseTo(7.49001646, 6);
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

describe("quantiles of Beta(alpha, beta)", () => {
  const shares = [0, 1e-6, 0.001, 0.03, 0.2, 0.37, 0.5, 0.61, 0.9, 0.999, 1 - 1e-6, 1];

  it.each([
    ["Beta(a, 1): p^(1/a)", 0.3, 1, (p: number) => p ** (1 / 0.3)],
    ["Beta(1, b): 1 - (1-p)^(1/b)", 1, 0.45, (p: number) => 1 - (1 - p) ** (1 / 0.45)],
    ["Beta(1, 50)", 1, 50, (p: number) => 1 - (1 - p) ** (1 / 50)],
    ["Beta(1, 1): p", 1, 1, (p: number) => p],
    ["Beta(1/2, 1/2), the arcsine law", 0.5, 0.5, (p: number) => Math.sin((Math.PI * p) / 2) ** 2],
  ] as const)("%s", (_, alpha, beta, quantile) => {
    for (const p of shares) expect(betaQuantile(p, { alpha, beta })).toBeCloseTo(quantile(p), 11);
  });

  it.each([
    [2, 2, (x: number) => 3 * x ** 2 - 2 * x ** 3],
    [2, 3, (x: number) => 6 * x ** 2 - 8 * x ** 3 + 3 * x ** 4],
    [1.5, 2, (x: number) => 2.5 * x ** 1.5 - 1.5 * x ** 2.5],
  ] as const)("Beta(%d, %d) by its distribution function", (alpha, beta, share) => {
    for (const p of shares) expect(share(betaQuantile(p, { alpha, beta }))).toBeCloseTo(p, 12);
  });

  it("shape the schedule, A1111's and ComfyUI's", () => {
    const entry = resolveSchedule("beta");
    const shape = { betaAlpha: 1, betaBeta: 1 };
    // Uniform: even in sigma, and in the timestep.
    const [high, low] = [noise.sigmaMax, noise.sigmaMin];
    near(entry.sigmas(noise, 5, shape), [high, low + 0.75 * (high - low), (high + low) / 2, low + 0.25 * (high - low), low, 0]);
    const timesteps = [999, 799, 599, 400, 200];
    expect(variantOf(entry, { compat: "comfy" })(noise, 5, shape)).toEqual([...timesteps.map((t) => noise.sigmas[t]!), 0]);
    expect(entry.sigmas(noise, 9, { betaAlpha: 0.6 })).toEqual(entry.sigmas(noise, 9));
    expect(entry.sigmas(noise, 9, { betaAlpha: 2 })[4]).toBeGreaterThan(entry.sigmas(noise, 9)[4]!);
    expect(entry.sigmas(noise, 9, { betaBeta: 2 })[4]).toBeLessThan(entry.sigmas(noise, 9)[4]!);
  });
});
