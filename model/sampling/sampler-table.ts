/** @file The samplers by name, with the labels of the A1111 web UI and what each runs on. */

import type { NoiseSchedule } from "./noise-schedule.ts";
import type { SigmaSampler, TimestepSampler } from "./sampler.ts";
import { ddim } from "./samplers/ddim.ts";
import { ddpm } from "./samplers/ddpm.ts";
import { dpm2, dpm2Ancestral } from "./samplers/dpm-2.ts";
import { dpmpp2m } from "./samplers/dpmpp-2m.ts";
import { dpmpp2sAncestral } from "./samplers/dpmpp-2s-ancestral.ts";
import { euler } from "./samplers/euler.ts";
import { eulerAncestral } from "./samplers/euler-ancestral.ts";
import { heun } from "./samplers/heun.ts";
import { lms } from "./samplers/lms.ts";
import { plms } from "./samplers/plms.ts";
import { leadingTransitions, type Transition } from "./transitions.ts";

interface Names {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[];
  /** Used where the user gives none. */
  readonly eta: number;
}

/** Runs in k-space on a list of sigmas. */
export interface SigmaSamplerEntry extends Names {
  readonly space: "sigma";
  readonly sample: SigmaSampler;
  /** Name of the schedule that the sampler's name alone implies. */
  readonly schedule: string;
}

/** Runs in VP space on its own list of timesteps, so it takes no schedule. */
export interface TimestepSamplerEntry extends Names {
  readonly space: "timestep";
  readonly sample: TimestepSampler;
  readonly transitions: (noise: NoiseSchedule, steps: number) => Transition[];
}

export type SamplerEntry = SigmaSamplerEntry | TimestepSamplerEntry;

/** Stable Diffusion's settings of diffusers' DDIM and PNDM: steps_offset 1, set_alpha_to_one false. */
const offsetTransitions = (noise: NoiseSchedule, steps: number) =>
  leadingTransitions(noise, steps, { offset: 1, finalAlphaBar: noise.alphaBar[0]! });

const ddpmTransitions = (noise: NoiseSchedule, steps: number) =>
  leadingTransitions(noise, steps, { offset: 0, finalAlphaBar: 1 });

export const samplers: readonly SamplerEntry[] = [
  { name: "ddpm", label: "DDPM", aliases: [], eta: 1, space: "timestep", sample: ddpm, transitions: ddpmTransitions },
  { name: "ddim", label: "DDIM", aliases: [], eta: 0, space: "timestep", sample: ddim, transitions: offsetTransitions },
  { name: "plms", label: "PLMS", aliases: ["pndm"], eta: 0, space: "timestep", sample: plms, transitions: offsetTransitions },
  { name: "euler", label: "Euler", aliases: [], eta: 0, space: "sigma", sample: euler, schedule: "discrete" },
  {
    name: "euler_ancestral",
    label: "Euler a",
    aliases: [],
    eta: 1,
    space: "sigma",
    sample: eulerAncestral,
    schedule: "discrete",
  },
  { name: "heun", label: "Heun", aliases: [], eta: 0, space: "sigma", sample: heun, schedule: "discrete" },
  { name: "dpmpp_2m", label: "DPM++ 2M", aliases: [], eta: 0, space: "sigma", sample: dpmpp2m, schedule: "karras" },
  { name: "lms", label: "LMS", aliases: [], eta: 0, space: "sigma", sample: lms, schedule: "discrete" },
  { name: "dpm_2", label: "DPM2", aliases: [], eta: 0, space: "sigma", sample: dpm2, schedule: "discrete" },
  { name: "dpm_2_ancestral", label: "DPM2 a", aliases: [], eta: 1, space: "sigma", sample: dpm2Ancestral, schedule: "discrete" },
  {
    name: "dpmpp_2s_ancestral",
    label: "DPM++ 2S a",
    aliases: [],
    eta: 1,
    space: "sigma",
    sample: dpmpp2sAncestral,
    schedule: "discrete",
  },
];
