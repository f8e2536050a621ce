/** @file Options by the names that A1111's scripts, stable-diffusion.cpp and diffusers know them by. */

/** "cfg_scale", "CFG Scale" and "cfg-scale" are one. */
const others: Readonly<Record<string, string>> = {
  "negative-prompt": "negative",
  cfg: "guidance",
  "cfg-scale": "guidance",
  "image-cfg-scale": "image-guidance",
  "sampler-name": "sampler",
  scheduler: "schedule",
  "schedule-type": "schedule",
  "batch-size": "batch",
  "n-iter": "count",
  subseed: "variation-seed",
  "subseed-strength": "variation-strength",
  "var.-seed": "variation-seed",
  "var.-strength": "variation-strength",
  "variation-seed-strength": "variation-strength",
  "sd-model": "model",
  checkpoint: "model",
  "checkpoint-name": "model",
  denoising: "strength",
  "denoising-strength": "strength",
  "sigma-churn": "churn",
  "s-churn": "churn",
  tmin: "churn-min",
  tmax: "churn-max",
  "sigma-tmin": "churn-min",
  "sigma-tmax": "churn-max",
  "s-tmin": "churn-min",
  "s-tmax": "churn-max",
  "sigma-noise": "noise-scale",
  "s-noise": "noise-scale",
  "schedule-min-sigma": "sigma-min",
  "schedule-max-sigma": "sigma-max",
  "schedule-rho": "rho",
  "beta-dist-alpha": "beta-alpha",
  "beta-dist-beta": "beta-beta",
  "beta-schedule-alpha": "beta-alpha",
  "beta-schedule-beta": "beta-beta",
  "discard-next-to-last-sigma": "discard-penultimate",
  "prompt-s/r": "prompt",
  "prompt-sr": "prompt",
  styles: "style",
  "sampling-method": "sampler",
  "init-img": "init",
  "embd-dir": "embedding-dir",
  "lora-model-dir": "lora-dir",
  "guidance-scale": "guidance",
  "num-inference-steps": "steps",
};

/** limn's name of an option, without dashes. */
export function optionName(name: string): string {
  const plain = name
    .trim()
    .toLowerCase()
    .replaceAll(/[\s_]+/g, "-");
  return Object.hasOwn(others, plain) ? others[plain]! : plain;
}
