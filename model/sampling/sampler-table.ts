/** @file The samplers by name, with the labels of the A1111 web UI and what each runs on. */

import type { Compatibility } from "./compatibility.ts";
import type { NoiseSchedule } from "./noise-schedule.ts";
import type { SigmaSampler, TimestepSampler } from "./sampler.ts";
import { ddim, ddimCfgPp } from "./samplers/ddim.ts";
import { ddpm } from "./samplers/ddpm.ts";
import { deis } from "./samplers/deis.ts";
import { dpm2, dpm2Ancestral } from "./samplers/dpm-2.ts";
import { dpmAdaptive } from "./samplers/dpm-adaptive.ts";
import { dpmFast, fastOrders } from "./samplers/dpm-fast.ts";
import { dpmpp2m } from "./samplers/dpmpp-2m.ts";
import { dpmpp2mSde, dpmpp2mSdeHeun } from "./samplers/dpmpp-2m-sde.ts";
import { dpmpp2mV2 } from "./samplers/dpmpp-2m-v2.ts";
import { dpmpp2sAncestral } from "./samplers/dpmpp-2s-ancestral.ts";
import { dpmpp3mSde } from "./samplers/dpmpp-3m-sde.ts";
import { dpmppSde } from "./samplers/dpmpp-sde.ts";
import { erSde } from "./samplers/er-sde.ts";
import { euler } from "./samplers/euler.ts";
import { eulerAncestral } from "./samplers/euler-ancestral.ts";
import { eulerAncestralCfgPp, eulerCfgPp } from "./samplers/euler-cfg-pp.ts";
import { heun } from "./samplers/heun.ts";
import { ipndm } from "./samplers/ipndm.ts";
import { lcm, lcmOnSigmas } from "./samplers/lcm.ts";
import { lms } from "./samplers/lms.ts";
import { endOfFirst, plms } from "./samplers/plms.ts";
import { resMultistep } from "./samplers/res-multistep.ts";
import { restart, restartSteps } from "./samplers/restart.ts";
import { tcd } from "./samplers/tcd.ts";
import { unipc } from "./samplers/unipc.ts";
import * as schedule from "./schedules.ts";
import type { Share } from "./strength.ts";
import {
  a1111LcmTransitions,
  compvisTransitions,
  distilledTransitions,
  leadingTransitions,
  type Transition,
  trailingTransitions,
} from "./transitions.ts";
import { type Beginning, unipcFromPicture, unipcSigmas } from "./unipc-in-a1111.ts";

interface Names {
  readonly name: string;
  readonly label: string;
  readonly aliases: readonly string[];
  /** Used where the user gives none. */
  readonly eta: number;
  /** Fresh noise that it adds: eta says how much, churn does, or always the same. Default: none. */
  readonly noise?: "eta" | "churn" | "always";
  /** What ComfyUI has under this name, where it is another sampler: one of the table, or one that has no name here. */
  readonly inComfy?: string | SigmaSamplerEntry;
  /** It asks the model twice a step, so that prompt editing counts twice as many steps (A1111). */
  readonly secondOrder?: boolean;
  /** CFG++: it needs the negative prompt's prediction even at guidance 1, and A1111 divides the guidance for DDIM. */
  readonly cfgPlusPlus?: { readonly guidanceFactor: number };
}

/** Runs in k-space on a list of sigmas. */
export interface SigmaSamplerEntry extends Names {
  readonly space: "sigma";
  readonly sample: SigmaSampler;
  /** Name of the schedule that the sampler's name alone implies (A1111: "Automatic"). */
  readonly schedule: string;
  /** Goes before `schedule` where the user names none: noise levels that have no name. */
  readonly ownSigmas?: schedule.Schedule;
  /** The same in A1111, where they are others. */
  readonly ownSigmasInA1111?: schedule.Schedule;
  /** It looks at the ends of the sigmas alone, so that a schedule makes no difference. */
  readonly takesNoSchedule?: boolean;
  /** Whose runs leave out the sigma before the last of one more: limn's and A1111's, or ComfyUI's. */
  readonly discardsPenultimate?: readonly ("a1111" | "comfy")[];
  /** Noise of the steps is that of one Brownian path, so that it fits together at any number of steps. */
  readonly brownian?: boolean;
  /** Begins as a VP latent does, at noise times sqrt(sigma^2 + 1). */
  readonly unitVarianceStart?: boolean;
  /** diffusers' solver of this name leaves out the timestep below its leading ones. */
  readonly multistep?: boolean;
  /** diffusers' solver of this name ends at the model's smallest sigma, not at 0. */
  readonly endsAtSmallestInDiffusers?: boolean;
  /** How it begins in a picture in A1111, where that isn't as others do. */
  readonly fromPictureInA1111?: (noise: NoiseSchedule, share: Share) => Beginning | undefined;
  /** How many latents it yields, where that isn't one less than there are sigmas. */
  readonly yields?: (sigmas: readonly number[]) => number;
}

export interface TransitionOptions {
  readonly eta: number;
  readonly compat?: Compatibility | undefined;
}

/** Runs in VP space on its own list of timesteps, so it takes no schedule. */
export interface TimestepSamplerEntry extends Names {
  readonly space: "timestep";
  readonly sample: TimestepSampler;
  readonly transitions: (noise: NoiseSchedule, steps: number, options?: TransitionOptions) => Transition[];
  /** How many latents it yields, where that isn't one for each transition. */
  readonly yields?: (transitions: readonly Transition[]) => number;
  /** It goes by eps, which tells nothing of the picture where alphaBar is 0: it can't begin there. */
  readonly needsSignal?: boolean;
  /** A1111 runs it in k-space, and so begins it as it begins those. */
  readonly sigmasInA1111?: boolean;
}

export type SamplerEntry = SigmaSamplerEntry | TimestepSamplerEntry;

/** Stable Diffusion's settings of diffusers' DDIM and PNDM (steps_offset 1, set_alpha_to_one false), or the original's list. */
const ddimTransitions: TimestepSamplerEntry["transitions"] = (noise, steps, options) => {
  if (options?.compat === "a1111") return compvisTransitions(noise, steps, { skipLast: true });
  if (options?.compat === "compvis") return compvisTransitions(noise, steps, { skipLast: false });
  return leadingTransitions(noise, steps, { offset: 1, finalAlphaBar: noise.alphaBar[0]! });
};

const ddpmTransitions: TimestepSamplerEntry["transitions"] = (noise, steps) =>
  leadingTransitions(noise, steps, { offset: 0, finalAlphaBar: 1 });

const lcmTransitions: TimestepSamplerEntry["transitions"] = (noise, steps, options) =>
  options?.compat === "a1111" ? a1111LcmTransitions(noise, steps) : distilledTransitions(noise, steps, { finalAlphaBar: 1 });

const tcdTransitions: TimestepSamplerEntry["transitions"] = (noise, steps, { eta } = { eta: 0.3 }) =>
  distilledTransitions(noise, steps, { finalAlphaBar: noise.alphaBar[0]!, eta });

type SigmaDetails = Partial<Omit<SigmaSamplerEntry, "name" | "label" | "space" | "sample">>;

function onSigmas(name: string, label: string, sample: SigmaSampler, details: SigmaDetails = {}): SigmaSamplerEntry {
  return { name, label, sample, space: "sigma", aliases: [], eta: 0, schedule: "discrete", ...details };
}

type TimestepDetails = Partial<Omit<TimestepSamplerEntry, "name" | "label" | "space" | "sample" | "transitions">>;

function onTimesteps(
  name: string,
  label: string,
  sample: TimestepSampler,
  transitions: TimestepSamplerEntry["transitions"],
  details: TimestepDetails = {},
): TimestepSamplerEntry {
  return { name, label, sample, transitions, space: "timestep", aliases: [], eta: 0, ...details };
}

const byEta = { eta: 1, noise: "eta" } as const;
const karras = { schedule: "karras" };
const exponential = { schedule: "exponential" };
const ends = { ownSigmas: schedule.ends, takesNoSchedule: true };
const uniPc = {
  ownSigmas: schedule.timeUniform,
  ownSigmasInA1111: unipcSigmas,
  unitVarianceStart: true,
  multistep: true,
  fromPictureInA1111: unipcFromPicture,
};

export const samplers: readonly SamplerEntry[] = [
  onTimesteps("ddpm", "DDPM", ddpm, ddpmTransitions, { eta: 1, noise: "always", inComfy: "euler_ancestral" }),
  onTimesteps("ddim", "DDIM", ddim, ddimTransitions, { noise: "eta", inComfy: "euler" }),
  onTimesteps("ddim_trailing", "DDIM Trailing", ddim, trailingTransitions, { noise: "eta" }),
  onTimesteps("ddim_cfg_pp", "DDIM CFG++", ddimCfgPp, ddimTransitions, {
    noise: "eta",
    cfgPlusPlus: { guidanceFactor: 1 / 12.5 },
  }),
  onTimesteps("plms", "PLMS", plms, ddimTransitions, {
    needsSignal: true,
    yields: (transitions) => transitions.length + (endOfFirst(transitions) ? 1 : 0),
    aliases: ["pndm"],
  }),
  onTimesteps("lcm", "LCM", lcm, lcmTransitions, {
    noise: "always",
    sigmasInA1111: true,
    inComfy: onSigmas("lcm", "LCM", lcmOnSigmas, { noise: "always" }),
  }),
  onTimesteps("tcd", "TCD", tcd, tcdTransitions, { eta: 0.3, noise: "eta" }),
  onSigmas("euler", "Euler", euler, { noise: "churn" }),
  onSigmas("euler_ancestral", "Euler a", eulerAncestral, byEta),
  onSigmas("euler_cfg_pp", "Euler CFG++", eulerCfgPp, { cfgPlusPlus: { guidanceFactor: 1 } }),
  onSigmas("euler_ancestral_cfg_pp", "Euler a CFG++", eulerAncestralCfgPp, {
    ...byEta,
    cfgPlusPlus: { guidanceFactor: 1 },
    aliases: ["euler_a_cfg_pp"],
  }),
  onSigmas("heun", "Heun", heun, { secondOrder: true, noise: "churn" }),
  onSigmas("lms", "LMS", lms),
  onSigmas("dpm_2", "DPM2", dpm2, { ...karras, secondOrder: true, noise: "churn", discardsPenultimate: ["a1111", "comfy"] }),
  onSigmas("dpm_2_ancestral", "DPM2 a", dpm2Ancestral, {
    ...karras,
    secondOrder: true,
    ...byEta,
    discardsPenultimate: ["a1111", "comfy"],
    aliases: ["dpm_2_a"],
  }),
  onSigmas("dpm_fast", "DPM fast", dpmFast, { ...ends, ...byEta, yields: (sigmas) => fastOrders(sigmas).orders.length }),
  onSigmas("dpm_adaptive", "DPM adaptive", dpmAdaptive, { ...ends, ...byEta, aliases: ["dpm_ad"] }),
  onSigmas("dpmpp_2s_ancestral", "DPM++ 2S a", dpmpp2sAncestral, {
    ...karras,
    secondOrder: true,
    ...byEta,
    aliases: ["dpmpp2s_a"],
  }),
  onSigmas("dpmpp_2m", "DPM++ 2M", dpmpp2m, { ...karras, multistep: true, aliases: ["dpmpp2m"] }),
  onSigmas("dpmpp_2m_v2", "DPM++ 2M v2", dpmpp2mV2, { ...karras, aliases: ["dpmpp2mv2", "dpmpp_2mv2"] }),
  onSigmas("dpmpp_sde", "DPM++ SDE", dpmppSde, {
    ...karras,
    secondOrder: true,
    ...byEta,
    brownian: true,
    aliases: ["dpmpp_sde_gpu"],
  }),
  onSigmas("dpmpp_2m_sde", "DPM++ 2M SDE", dpmpp2mSde, {
    ...exponential,
    ...byEta,
    brownian: true,
    aliases: ["dpmpp_2m_sde_gpu", "dpmpp2m_sde", "dpmpp2m_sde_bt"],
  }),
  onSigmas("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun", dpmpp2mSdeHeun, {
    ...exponential,
    ...byEta,
    brownian: true,
    aliases: ["dpmpp_2m_sde_heun_gpu"],
  }),
  onSigmas("dpmpp_3m_sde", "DPM++ 3M SDE", dpmpp3mSde, {
    ...exponential,
    ...byEta,
    brownian: true,
    discardsPenultimate: ["a1111"],
    aliases: ["dpmpp_3m_sde_gpu"],
  }),
  onSigmas("restart", "Restart", restart, {
    ...karras,
    secondOrder: true,
    noise: "always",
    yields: (sigmas) => restartSteps(sigmas).length,
  }),
  onSigmas("unipc", "UniPC", unipc({ order: 3, variant: "bh1" }), {
    ...uniPc,
    discardsPenultimate: ["comfy"],
    aliases: ["uni_pc"],
  }),
  onSigmas("unipc_bh2", "UniPC bh2", unipc({ order: 3, variant: "bh2" }), {
    ...uniPc,
    discardsPenultimate: ["comfy"],
    aliases: ["uni_pc_bh2"],
  }),
  onSigmas("deis", "DEIS", deis, { multistep: true, endsAtSmallestInDiffusers: true }),
  onSigmas("ipndm", "IPNDM", ipndm),
  onSigmas("res_multistep", "RES multistep", resMultistep, { noise: "eta" }),
  onSigmas("er_sde", "ER SDE", erSde, { eta: 1, noise: "always" }),
];
