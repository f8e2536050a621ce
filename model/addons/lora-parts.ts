/**
 * @file The parts that an adapter of one module is made of, and the spellings of their names.
 * Sources: kohya-ss/sd-scripts `networks/lora.py`; KohakuBlueleaf/LyCORIS; huggingface/diffusers `loaders/lora_conversion_utils.py`; ComfyUI
 * `comfy/lora.py`, `comfy/weight_adapter/`.
 */

/** What a tensor of an add-on is to its module. */
export type Part = (typeof partNames)[number];

const partNames = [
  "down",
  "up",
  "mid",
  "alpha",
  "scale",
  "dora_scale",
  "hada_w1_a",
  "hada_w1_b",
  "hada_w2_a",
  "hada_w2_b",
  "hada_t1",
  "hada_t2",
  "lokr_w1",
  "lokr_w1_a",
  "lokr_w1_b",
  "lokr_w2",
  "lokr_w2_a",
  "lokr_w2_b",
  "lokr_t2",
  "diff",
  "diff_b",
  "w_norm",
  "b_norm",
  "set_weight",
  "weight",
  "on_input",
  "a1",
  "a2",
  "b1",
  "b2",
  "oft_blocks",
  "oft_diag",
  "rescale",
  "bias_indices",
  "bias_values",
  "bias_size",
] as const;

/** Endings whose tensor has another name than the part. PEFT writes the adapter's name before `.weight`. */
const spellings: readonly (readonly [RegExp, Part])[] = [
  [/(?:\.lora_|_lora\.|\.lora\.|\.lora_linear_layer\.)down\.weight$/, "down"],
  [/(?:\.lora_|_lora\.|\.lora\.|\.lora_linear_layer\.)up\.weight$/, "up"],
  [/\.lora_mid\.weight$/, "mid"],
  [/\.lora_A(?:(?:\.[\w-]+)?\.weight)?$/, "down"],
  [/\.lora_B(?:(?:\.[\w-]+)?\.weight)?$/, "up"],
  [/\.lora_magnitude_vector(?:(?:\.[\w-]+)?\.weight)?$/, "dora_scale"],
  [/\.a1\.weight$/, "a1"],
  [/\.a2\.weight$/, "a2"],
  [/\.b1\.weight$/, "b1"],
  [/\.b2\.weight$/, "b2"],
];

const plain: ReadonlyMap<string, Part> = new Map(partNames.slice(3).map((name) => [name, name]));

/** Splits a tensor's name into its module's and the part; undefined for an ending that no known adapter has. */
export function splitName(name: string): { readonly module: string; readonly part: Part } | undefined {
  for (const [pattern, part] of spellings) {
    const match = pattern.exec(name);
    if (match && match.index > 0) return { module: moduleName(name.slice(0, match.index)), part };
  }
  const dot = name.lastIndexOf(".");
  const part = plain.get(name.slice(dot + 1));
  return part !== undefined && dot > 0 ? { module: moduleName(name.slice(0, dot)), part } : undefined;
}

/** A module's name in one spelling: kohya's underscores, without what wraps a whole model or an attention's processor. */
function moduleName(path: string): string {
  return path
    .replace(/^base_model\.model\./, "")
    .replace(/\.processor(?=\.|$)/, "")
    .replaceAll(".", "_");
}
