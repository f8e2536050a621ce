/**
 * @file The cases of a recorded sampler file: the model's tables, `schedule.<name>.<n>`, k-diffusion's trajectories
 * `k.<sampler>.<schedule>.<n>.x` and diffusers' `d.<scheduler>.<n>.x` on the closed form, with their timesteps.
 */

import type { Device } from "../../engine/index.ts";
import { NoiseSchedule } from "../sampling/noise-schedule.ts";
import type { Sampling } from "../sampling/sampler.ts";
import { type SamplerEntry, samplers } from "../sampling/sampler-table.ts";
import { findByName, schedules } from "../sampling/schedule-table.ts";
import { ClosedFormDenoiser } from "./closed-form-denoiser.ts";
import type { RecordedTensors, TraceCase, TraceCases } from "./trace-case.ts";

/** How one trajectory was recorded: the metadata `index`. */
interface RecordedSettings {
  readonly eta?: number;
  readonly s_noise?: number;
}

/** diffusers' schedulers as we name them; the others there have settings that limn has no sampler for. */
const diffusersNames: Readonly<Record<string, string>> = { ddim: "ddim", ddim_eta1: "ddim", pndm: "plms", ddpm: "ddpm" };

export function samplerCases(recorded: RecordedTensors, device: Device): TraceCases {
  const reader = new CaseReader(recorded, device);
  const cases: TraceCase[] = [];
  const skipped: string[] = [];
  for (const name of recorded.shapes.keys()) {
    if (name.startsWith("noise.")) continue;
    const run = reader.find(name);
    if (run === undefined) skipped.push(name);
    else cases.push({ name, run });
  }
  return { cases, skipped };
}

class CaseReader {
  readonly #recorded: RecordedTensors;
  readonly #device: Device;
  readonly #schedule = new NoiseSchedule();
  readonly #form: { a: number; b: number };
  readonly #index: Readonly<Record<string, RecordedSettings>>;

  constructor(recorded: RecordedTensors, device: Device) {
    this.#recorded = recorded;
    this.#device = device;
    this.#form = JSON.parse(recorded.metadata["eps"] ?? '{"a":0.8,"b":1.3}');
    this.#index = JSON.parse(recorded.metadata["index"] ?? "{}");
  }

  /** What computes a recorded tensor, or undefined if limn has nothing that does. */
  find(name: string): TraceCase["run"] | undefined {
    if (name === "alphas_cumprod") return async () => this.#schedule.alphaBar;
    if (name === "sigmas.model") return async () => this.#schedule.sigmas;
    return this.#findSchedule(name) ?? this.#findSigmaRun(name) ?? this.#findTimestepRun(name);
  }

  #findSchedule(name: string): TraceCase["run"] | undefined {
    const [, scheduleName, steps] = /^(?:schedule|k\.sigmas)\.([a-z_.]+)\.(\d+)$/.exec(name) ?? [];
    // Variants for a model are recorded as `align_your_steps.sdxl`.
    const entry = scheduleName === undefined ? undefined : findByName(schedules, scheduleName.replace(".", "_"));
    return entry && (async () => Float32Array.from(entry.sigmas(this.#schedule, Number(steps))));
  }

  #findSigmaRun(name: string): TraceCase["run"] | undefined {
    const [, samplerName, variant, scheduleName, steps] = /^k\.(\w+?)(_v|_eta\d+)?\.(\w+)\.(\d+)\.x$/.exec(name) ?? [];
    const sampler = samplers.find((entry) => entry.name === samplerName);
    const sigmasName = `k.sigmas.${scheduleName}.${steps}`;
    if (sampler?.space !== "sigma" || !this.#recorded.shapes.has(sigmasName)) return undefined;
    return async () => {
      const sigmas = Array.from(await this.#recorded.read(sigmasName));
      const denoiser = new ClosedFormDenoiser(this.#device, this.#schedule, {
        ...this.#form,
        prediction: variant === "_v" ? "v" : "eps",
      });
      const { eta, noise } = await this.#noiseOf(name, sampler);
      const start = (await this.#recorded.read("noise.init")).map((value) => value * sigmas[0]!);
      const trajectory = await this.#follow(denoiser, start, (x) => sampler.sample({ denoiser, x, sigmas, noise, eta }));
      return concatenate([start, ...trajectory]);
    };
  }

  #findTimestepRun(name: string): TraceCase["run"] | undefined {
    const [, scheduler = "", steps, part] = /^d\.(\w+)\.(\d+)\.(x|timesteps)$/.exec(name) ?? [];
    const sampler = samplers.find((entry) => entry.name === diffusersNames[scheduler]);
    if (sampler?.space !== "timestep") return undefined;
    return async () => {
      const denoiser = new ClosedFormDenoiser(this.#device, this.#schedule, { ...this.#form, prediction: "eps" });
      const { eta, noise } = await this.#noiseOf(name, sampler);
      const transitions = sampler.transitions(this.#schedule, Number(steps));
      const start = await this.#recorded.read("noise.init");
      const trajectory = await this.#follow(denoiser, start, (x) => sampler.sample({ denoiser, x, transitions, noise, eta }));
      return part === "x" ? concatenate(trajectory) : Float32Array.from(denoiser.timesteps);
    };
  }

  /** The recorded draws in order, each times the run's s_noise. */
  async #noiseOf(name: string, sampler: SamplerEntry) {
    const { eta = sampler.eta, s_noise: scale = 1 } = this.#index[name.replace(/\.(x|timesteps)$/, "")] ?? {};
    const draws = await this.#recorded.read("noise.steps");
    const [, ...shape] = this.#recorded.shapes.get("noise.steps")!;
    const size = shape.reduce((product, length) => product * length, 1);
    let drawn = 0;
    const noise = () => {
      const values = draws.slice(drawn * size, ++drawn * size).map((value) => value * scale);
      return this.#device.upload(values, shape);
    };
    return { eta, noise };
  }

  /** Every latent that a run from `start` yields. */
  async #follow(denoiser: ClosedFormDenoiser, start: Float32Array, sample: (x: ReturnType<Device["upload"]>) => Sampling) {
    const trajectory: Float32Array[] = [];
    const sampling = sample(this.#device.upload(start, this.#recorded.shapes.get("noise.init")!));
    try {
      for (;;) {
        const step = await sampling.next();
        if (step.done) {
          step.value.free();
          return trajectory;
        }
        trajectory.push(await step.value.latent.read());
      }
    } finally {
      denoiser.free();
    }
  }
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
