/** @file Text encoders on recorded ids. */
import type { Tensor } from "../../engine/index.ts";
import type { TextEncoder } from "../text/text-encoder.ts";
import { download } from "./layout.ts";
import type { Computed, RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";

/** `<group>.ids` [P, T] -> `<group>.hidden.<i>`, and of the outputs of a text encoder those that are recorded. */
export async function* textCases(recorded: RecordedTensors, { device, text }: TraceModel): AsyncGenerator<Computed> {
  for (const [group, encoder] of text) {
    const [prompts = 1, length = 77] = recorded.shapes.get(`${group}.ids`)!;
    const ids = await recorded.read(`${group}.ids`);
    const embedded = await encoder.embed(
      Array.from({ length: prompts }, (_, p) => ids.subarray(p * length, (p + 1) * length)), // [P][T]
    );
    const outputs = device.scope(() => {
      const x = device.upload(embedded, [prompts, length, encoder.config.width], device.storage);
      return outputsOf(encoder, encoder.hiddenStates(x));
    });
    try {
      for (const [suffix, output] of Object.entries(outputs)) {
        const name = `${group}.${suffix}`;
        const shape = recorded.shapes.get(name);
        if (shape === undefined) continue;
        const values = await download(output, suffix === "pooled" ? output.shape : shape);
        yield { name, values: suffix === "pooled" ? endRows(values, ids, length) : values };
      }
    } finally {
      for (const output of new Set(Object.values(outputs))) output.free();
    }
  }
}

/** Everything a text encoder is asked for by some family, by the name of its cases. */
function outputsOf(encoder: TextEncoder, hidden: readonly Tensor[]): Record<string, Tensor> {
  const [penultimate, last] = hidden.slice(-2) as [Tensor, Tensor];
  const skip2 = encoder.finalNorm.forward(penultimate);
  return {
    ...Object.fromEntries(hidden.map((state, i) => [`hidden.${i}`, state])),
    last: encoder.finalNorm.forward(last),
    skip2,
    context: skip2, //            SD 2
    penultimate, //               SDXL
    ...(encoder.projection ? { pooled: encoder.pooled(last) } : {}),
  };
}

/** Of each prompt the row of its first end marker, which is the largest id. values [P, T, C] -> [P, C] */
function endRows(values: Float32Array, ids: Float32Array, length: number): Float32Array {
  const prompts = ids.length / length;
  const width = values.length / ids.length;
  const rows = new Float32Array(prompts * width);
  for (let p = 0; p < prompts; p++) {
    const sequence = ids.subarray(p * length, (p + 1) * length);
    const end = p * length + sequence.indexOf(Math.max(...sequence));
    rows.set(values.subarray(end * width, (end + 1) * width), p * width);
  }
  return rows;
}
