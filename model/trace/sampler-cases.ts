/**
 * @file The cases of a recorded sampler file: the model's tables, `schedule.<name>.<n>`, k-diffusion's trajectories
 * `k.<sampler>.<schedule>.<n>.x` and diffusers' `d.<scheduler>.<n>.x` on the closed form, with their timesteps.
 */

import type { Device } from "../../engine/index.ts";
import { NoiseSchedule } from "../sampling/noise-schedule.ts";
import { findByName, schedules } from "../sampling/schedule-table.ts";
import { ClosedFormDenoiser } from "./closed-form-denoiser.ts";
import { diffusersRun, type RecordedRun, sigmaRun } from "./sampler-runs.ts";
import type { RecordedTensors, TraceCase, TraceCases } from "./trace-case.ts";

/** How one trajectory was recorded: the metadata `index`. */
interface RecordedSettings {
  readonly eta?: number;
  readonly s_noise?: number;
}

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
    return this.#findSchedule(name) ?? this.#findSigmaRun(name) ?? this.#findDiffusersRun(name);
  }

  #findSchedule(name: string): TraceCase["run"] | undefined {
    const [, scheduleName, steps] = /^(?:schedule|k\.sigmas)\.([a-z_.]+)\.(\d+)$/.exec(name) ?? [];
    // Variants for a model are recorded as `align_your_steps.sdxl`.
    const entry = scheduleName === undefined ? undefined : findByName(schedules, scheduleName.replace(".", "_"));
    return entry && (async () => Float32Array.from(entry.sigmas(this.#schedule, Number(steps))));
  }

  #findSigmaRun(name: string): TraceCase["run"] | undefined {
    if (sigmaRun(name, () => undefined) === undefined) return undefined;
    return async () => {
      const [, schedule, steps] = /\.(\w+)\.(\d+)\.x$/.exec(name) ?? [];
      const sigmasName = `k.sigmas.${schedule}.${steps}`;
      const sigmas = this.#recorded.shapes.has(sigmasName) ? Array.from(await this.#recorded.read(sigmasName)) : undefined;
      const run = sigmaRun(name, () => sigmas)!;
      return (await this.#follow(name, run)).rows;
    };
  }

  #findDiffusersRun(name: string): TraceCase["run"] | undefined {
    const [, scheduler = "", steps, part] = /^d\.(\w+)\.(\d+)\.(x|timesteps)$/.exec(name) ?? [];
    const run = diffusersRun(scheduler, Number(steps));
    if (run === undefined) return undefined;
    return async () => {
      const { rows, timesteps } = await this.#follow(name, run);
      if (part === "timesteps") return Float32Array.from(timesteps);
      // A last row that diffusers gave as NaN isn't recorded.
      return rows.subarray(
        0,
        this.#recorded.shapes.get(name)!.reduce((product, length) => product * length, 1),
      );
    };
  }

  /** The recorded draws in order, each times the run's s_noise; where a run takes more of them, they begin again. */
  async #noise(scale: number) {
    const draws = await this.#recorded.read("noise.steps");
    const [count = 1, ...shape] = this.#recorded.shapes.get("noise.steps")!;
    const size = draws.length / count;
    let drawn = 0;
    return () => {
      const first = (drawn++ % count) * size;
      return this.#device.upload(
        draws.slice(first, first + size).map((value) => value * scale),
        shape,
      );
    };
  }

  /** Every latent of a run, as recorded, and the timesteps that the model was asked at. */
  async #follow(name: string, run: RecordedRun): Promise<{ rows: Float32Array; timesteps: readonly number[] }> {
    const settings = this.#index[name.replace(/\.(x|timesteps)$/, "")] ?? {};
    const schedule = run.zeroTerminalSnr ? new NoiseSchedule({ zeroTerminalSnr: true }) : this.#schedule;
    const denoiser = new ClosedFormDenoiser(this.#device, schedule, {
      ...this.#form,
      prediction: run.prediction,
      wholeTimesteps: run.wholeTimesteps ?? false,
    });
    const noise = await this.#noise(settings.s_noise ?? 1);
    const start = (await this.#recorded.read("noise.init")).map((value) => value * run.start(schedule));
    const rows: Float32Array[] = run.startsWithStart ? [start] : [];
    const x = this.#device.upload(start, this.#recorded.shapes.get("noise.init")!);
    const sampling = run.sample(schedule, { denoiser, x, noise }, settings.eta ?? run.eta);
    try {
      for (;;) {
        const step = await sampling.next();
        if (!step.done) {
          const factor = run.rowFactor(step.value.sigma);
          rows.push((await step.value.latent.read()).map((value) => factor * value));
          continue;
        }
        if (run.endRepeated) rows.push(await step.value.read());
        step.value.free();
        return { rows: concatenate(rows), timesteps: denoiser.timesteps };
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
