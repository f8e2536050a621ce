/** @file How the originals' recorded sampler runs are set up with limn's samplers: `k.<sampler>...x` and `d.<scheduler>.<n>.x`. */

import { type NoiseSchedule, sigmaToAlphaBar } from "../sampling/noise-schedule.ts";
import type { Run, Sampling, SigmaSampler } from "../sampling/sampler.ts";
import { samplers } from "../sampling/sampler-table.ts";
import { deis } from "../sampling/samplers/deis.ts";
import { dpmpp2m } from "../sampling/samplers/dpmpp-2m.ts";
import { euler } from "../sampling/samplers/euler.ts";
import { unipc } from "../sampling/samplers/unipc.ts";
import * as schedules from "../sampling/schedules.ts";

export interface RecordedRun {
  readonly prediction: "eps" | "v";
  readonly zeroTerminalSnr?: boolean;
  readonly wholeTimesteps?: boolean;
  readonly eta: number;
  /** What the recorded unit noise is multiplied by to start. */
  readonly start: (noise: NoiseSchedule) => number;
  readonly sample: (
    noise: NoiseSchedule,
    parts: Omit<Run<"denoise" | "denoiseBoth" | "eps" | "x0">, "eta">,
    eta: number,
  ) => Sampling;
  /** The recorded rows: with the start before them, and how often the end is repeated. */
  readonly startsWithStart: boolean;
  readonly endRepeated: boolean;
  /** Factor from our latent to the recorded one at a sigma: diffusers' multistep solvers run in VP space. */
  readonly rowFactor: (sigma: number) => number;
}

/** Sigmas of k-diffusion's runs, as recorded. */
export type RecordedSigmas = (schedule: string, steps: number) => readonly number[] | undefined;

/** One of k-diffusion's or A1111's runs: k.<sampler>[_v|_eta07][.<schedule>][.<n>]. */
export function sigmaRun(name: string, recordedSigmas: RecordedSigmas): RecordedRun | undefined {
  const [, samplerName, variant, schedule = "", steps = ""] =
    /^k\.(\w+?)(_v|_eta\d+)?(?:\.([a-z]\w*))?(?:\.(\d+))?\.x$/.exec(name) ?? [];
  const sampler = samplers.find((entry) => entry.name === samplerName);
  if (sampler?.space !== "sigma") return undefined;
  const sigmasOf = (noise: NoiseSchedule) =>
    recordedSigmas(schedule, Number(steps)) ?? (sampler.ownSigmas ?? schedules.karras)(noise, Number(steps || 1));
  return {
    prediction: variant === "_v" ? "v" : "eps",
    eta: sampler.takesNoSchedule ? 0 : sampler.eta,
    start: (noise) => sigmasOf(noise)[0]!,
    sample: (noise, parts, eta) => sampler.sample({ ...parts, sigmas: sigmasOf(noise), eta }),
    startsWithStart: samplerName !== "dpm_adaptive",
    endRepeated: samplerName === "dpm_adaptive",
    rowFactor: () => 1,
  };
}

const plain = { prediction: "eps", eta: 0, startsWithStart: false, endRepeated: false, rowFactor: () => 1 } as const;
const toVp = (sigma: number) => Math.sqrt(sigmaToAlphaBar(sigma));
const unitVariance = (sigma: number) => Math.sqrt(sigma ** 2 + 1);

function onTimesteps(samplerName: string, steps: number): RecordedRun | undefined {
  const sampler = samplers.find((entry) => entry.name === samplerName);
  if (sampler?.space !== "timestep") return undefined;
  return {
    ...plain,
    eta: sampler.eta,
    start: () => 1,
    sample: (noise, parts, eta) => sampler.sample({ ...parts, transitions: sampler.transitions(noise, steps, { eta }), eta }),
  };
}

function onSigmas(sample: SigmaSampler, sigmas: (noise: NoiseSchedule) => number[]): RecordedRun {
  return {
    ...plain,
    start: (noise) => unitVariance(sigmas(noise)[0]!),
    sample: (noise, parts, eta) => sample({ ...parts, sigmas: sigmas(noise), eta }),
  };
}

/** One of diffusers' runs, whose timesteps are recorded too: d.<scheduler>.<n>. */
export function diffusersRun(scheduler: string, steps: number): RecordedRun | undefined {
  const whole = (noise: NoiseSchedule) => schedules.wholeUniform(noise, steps);
  switch (scheduler) {
    case "ddim":
    case "ddim_eta1":
      return onTimesteps("ddim", steps);
    case "ddim_trailing_zsnr_v": {
      const run = onTimesteps("ddim_trailing", steps);
      return run && { ...run, prediction: "v", zeroTerminalSnr: true };
    }
    case "pndm":
      return onTimesteps("plms", steps);
    case "ddpm":
    case "lcm":
    case "tcd":
      return onTimesteps(scheduler, steps);
    case "unipc":
      return { ...onSigmas(unipc({ order: 2, variant: "bh2" }), whole), rowFactor: toVp };
    case "unipc_bh1_o3":
      return { ...onSigmas(unipc({ order: 3, variant: "bh1" }), whole), rowFactor: toVp };
    case "dpmpp_2m_karras":
      return {
        ...onSigmas(dpmpp2m, (noise) => schedules.karras(noise, steps)),
        rowFactor: toVp,
        wholeTimesteps: true,
      };
    case "deis":
      // It ends at the smallest sigma, and there in VP space.
      return {
        ...onSigmas(deis, (noise) => [...whole(noise).slice(0, -1), noise.sigmaMin]),
        rowFactor: (sigma) => (sigma < 0.03 ? 1 : toVp(sigma)),
      };
    case "euler_leading":
      return onSigmas(euler, (noise) => schedules.leading(noise, steps));
    case "euler_trailing": {
      const run = onSigmas(euler, (noise) => schedules.trailing(noise, steps));
      return { ...run, start: (noise) => schedules.trailing(noise, steps)[0]! };
    }
    default:
      return undefined;
  }
}
