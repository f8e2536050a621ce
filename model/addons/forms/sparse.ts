/** @file What is left of a weight's change beside its low-rank part: single numbers at given places (LyCORIS' extraction of old). */
import { ModelFileError } from "../../../engine/errors.ts";
import type { Parts } from "./form.ts";

/**
 * `bias_values` [n] at `bias_indices` [axes, n] of a tensor of the sizes `bias_size` [axes]: f32 [outputs * inner], or undefined where the
 * adapter has none.
 * @throws ModelFileError LORA_SHAPE for places outside the weight, or a weight of another size
 */
export async function sparseResidual(
  parts: Parts,
  { outputs, inner }: { readonly outputs: number; readonly inner: number },
): Promise<Float32Array | undefined> {
  if (!parts.shape("bias_values")) return undefined;
  if (!parts.shape("bias_indices") || !parts.shape("bias_size")) throw misfit("bias_values without bias_indices or bias_size");
  const values = await parts.values("bias_values");
  const indices = await parts.values("bias_indices");
  const sizes = Array.from(await parts.values("bias_size"));
  const count = sizes.reduce((product, size) => product * size, 1);
  if (count !== outputs * inner || sizes[0] !== outputs || indices.length !== sizes.length * values.length) {
    throw misfit(`bias_size [${sizes}] and bias_indices of ${values.length} values do not fit a weight [${outputs}, ${inner}]`);
  }
  const dense = new Float32Array(count);
  for (const [n, value] of values.entries()) {
    let at = 0;
    for (const [axis, size] of sizes.entries()) {
      const index = indices[axis * values.length + n]!;
      if (!(Number.isInteger(index) && index >= 0 && index < size))
        throw misfit(`bias_indices hold ${index}, axis ${axis} has ${size}`);
      at = at * size + index;
    }
    dense[at]! += value;
  }
  return dense;
}

function misfit(fact: string): ModelFileError {
  return new ModelFileError("LORA_SHAPE", `LoRA: ${fact}`, { hint: "the LoRA is damaged, or for a model of another size" });
}
