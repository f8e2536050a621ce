/**
 * @file ComfyUI's samplers in parts: SamplerCustom and SamplerCustomAdvanced have nodes for noise, guidance, sampler and noise levels. Each is
 * seen as one KSampler that says all of it, with the numbers beside that a KSampler has no input for.
 */

import { ComfyGraph, type ComfyNode } from "./comfy-graph.ts";
import { numberOf, textOf } from "./json.ts";

/** Names of a KSampler's samplers, by the node that holds one alone. */
const samplerNodes: Readonly<Record<string, string>> = {
  SamplerEulerAncestral: "euler_ancestral",
  SamplerEulerAncestralCFGPP: "euler_ancestral_cfg_pp",
  SamplerDPMPP_2S_Ancestral: "dpmpp_2s_ancestral",
  SamplerDPMPP_SDE: "dpmpp_sde",
  SamplerDPMPP_2M_SDE: "dpmpp_2m_sde",
  SamplerDPMPP_3M_SDE: "dpmpp_3m_sde",
  SamplerLMS: "lms",
};

const scheduleNodes: Readonly<Record<string, string>> = {
  KarrasScheduler: "karras",
  ExponentialScheduler: "exponential",
  PolyexponentialScheduler: "polyexponential",
  BetaSamplingScheduler: "beta",
  AlignYourStepsScheduler: "align_your_steps",
  GITSScheduler: "gits",
};

/** Inputs of these nodes, by the setting that they are. */
export const tuningInputs = {
  sigma_min: "sigmaMin",
  sigma_max: "sigmaMax",
  rho: "rho",
  alpha: "betaAlpha",
  beta: "betaBeta",
  eta: "eta",
  s_noise: "noiseScale",
} as const;

/** Input of a sampler whose noise levels are all used, where a KSampler leaves out the one before the last. */
export const keepsPenultimate = "keeps penultimate";

/** The graph with a KSampler in the place of each sampler in parts. */
export function withWholeSamplers(graph: ComfyGraph): ComfyGraph {
  const whole = new Map(graph.nodes);
  const strange: ComfyNode[] = [];
  for (const node of graph.ofType("SamplerCustom", "SamplerCustomAdvanced")) {
    const inputs = new Map(Object.entries(inputsOf(graph, node, strange)).filter(([, value]) => value !== undefined));
    whole.set(node.id, { id: node.id, type: "KSampler", inputs });
  }
  const seen = new ComfyGraph(whole);
  for (const node of strange) seen.strange(node);
  return seen;
}

function inputsOf(graph: ComfyGraph, node: ComfyNode, strange: ComfyNode[]): Readonly<Record<string, unknown>> {
  const guider = graph.linked(node, "guider") ?? node;
  const noise = graph.linked(node, "noise") ?? node;
  const [sampler, sigmas] = [graph.linked(node, "sampler"), graph.linked(node, "sigmas")];
  const name = samplerName(graph, sampler);
  const schedule = scheduleName(graph, sigmas);
  if (noise.type === "DisableNoise" || graph.value(node, "add_noise") === false) strange.push(noise);
  if (sampler && name === undefined) strange.push(sampler);
  if (sigmas && schedule === undefined) strange.push(sigmas);
  const tuning = Object.keys(tuningInputs).map((input) => [input, graph.value(sigmas, input) ?? graph.value(sampler, input)]);
  return {
    seed: noise.inputs.get("noise_seed"),
    cfg: guider.inputs.get("cfg") ?? (guider.type === "BasicGuider" ? 1 : undefined),
    model: guider.inputs.get("model"),
    positive: guider.inputs.get("positive") ?? guider.inputs.get("conditioning"),
    negative: guider.inputs.get("negative"),
    latent_image: node.inputs.get("latent_image"),
    sampler_name: name,
    scheduler: schedule,
    steps: sigmas?.inputs.get("steps"),
    denoise: sigmas?.inputs.get("denoise"),
    [keepsPenultimate]: /^(dpm_2|uni_pc)/.test(name ?? "") || undefined,
    ...Object.fromEntries(tuning),
  };
}

function samplerName(graph: ComfyGraph, node: ComfyNode | undefined): string | undefined {
  if (node?.type === "KSamplerSelect") return textOf(graph.value(node, "sampler_name"));
  const name = Object.hasOwn(samplerNodes, node?.type ?? "") ? samplerNodes[node!.type] : undefined;
  return name === "dpmpp_2m_sde" && graph.value(node, "solver_type") === "heun" ? "dpmpp_2m_sde_heun" : name;
}

/** Undefined for levels that limn has no name for, such as GITS with another coefficient than 1.2. */
function scheduleName(graph: ComfyGraph, node: ComfyNode | undefined): string | undefined {
  if (node?.type === "BasicScheduler") return textOf(graph.value(node, "scheduler"));
  const name = Object.hasOwn(scheduleNodes, node?.type ?? "") ? scheduleNodes[node!.type] : undefined;
  if (name === "gits" && (numberOf(graph.value(node, "coeff")) ?? 1.2) !== 1.2) return undefined;
  if (name === "align_your_steps" && graph.value(node, "model_type") === "SDXL") return "align_your_steps_sdxl";
  return name;
}
