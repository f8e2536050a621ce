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
  "sigma-noise": "noise-scale",
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
