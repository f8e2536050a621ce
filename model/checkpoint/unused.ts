/** @file Tensors that a model does not read: which of them are expected in a checkpoint, and why. */

export interface IgnoreRule {
  readonly reason: string;
  readonly pattern: RegExp;
}

/** Applied to tensors that no module asked for; the first rule that matches counts. */
export const ignoreRules: readonly IgnoreRule[] = [
  { reason: "EMA copy of the weights", pattern: /^model_ema\./ },
  {
    reason: "buffers of the noise schedule",
    pattern: /^(betas|alphas_cumprod\w*|sqrt_\w+|log_one_minus_\w+|posterior_\w+|logvar|lvlb_weights|denoiser\.sigmas)$/,
  },
  { reason: "position ids (0, 1, 2, ...)", pattern: /(^|\.)position_ids$/ },
  { reason: "CLIP's training temperature and projection", pattern: /(^|\.)(logit_scale|text_projection(\.weight)?)$/ },
  { reason: "CLIP's image tower", pattern: /(^|\.)(visual|vision_model)\./ },
  { reason: "training losses", pattern: /(^|\.)loss\./ },
  { reason: "markers of the prediction type", pattern: /^(v_pred|ztsnr|edm_\w+(\.\w+)?)$/ },
  { reason: "scales of 8-bit activations", pattern: /(^|\.)(scaled_fp8|scale_input|input_scale)$/ },
  { reason: "optimizer state", pattern: /^(optimizer|optimizer_states|lr_schedulers)\b/ },
];

export interface Ignored {
  readonly reason: string;
  readonly count: number;
}

/** Sorts names into those that a rule explains and those that none does. */
export function sortUnused(names: readonly string[]): { ignored: Ignored[]; unused: string[] } {
  const counts = new Map<string, number>();
  const unused = names.filter((name) => {
    const rule = ignoreRules.find(({ pattern }) => pattern.test(name));
    if (rule !== undefined) counts.set(rule.reason, (counts.get(rule.reason) ?? 0) + 1);
    return rule === undefined;
  });
  return { ignored: [...counts].map(([reason, count]) => ({ reason, count })), unused };
}
