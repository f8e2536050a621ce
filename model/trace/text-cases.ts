/** @file Text encoders on recorded ids. */
import type { Tensor } from "../../engine/index.ts";
import { sizeVector } from "../picture/size-vector.ts";
import type { TextEncoder } from "../text/text-encoder.ts";
import { download } from "./layout.ts";
import type { Computed, RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";

/** `<group>.ids` [P, T] -> `<group>.hidden.<i>`, and of the outputs of a text encoder those that are recorded. */
export async function* textCases(recorded: RecordedTensors, { device, text, config }: TraceModel): AsyncGenerator<Computed> {
  const penultimates: Float32Array[] = [];
  let pooled: Float32Array | undefined;
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
        const computed = suffix === "pooled" ? endRows(values, ids, length) : values;
        if (suffix === "pooled") pooled = computed;
        if (suffix === "penultimate") penultimates.push(computed);
        yield { name, values: computed };
      }
    } finally {
      for (const output of new Set(Object.values(outputs))) output.free();
    }
  }
  const contextShape = recorded.shapes.get("context");
  if (contextShape && penultimates.length === config.text.length && config.text.length > 1) {
    yield { name: "context", values: sideBySide(penultimates, contextShape[0]! * contextShape[1]!) };
  }
  const prompts = recorded.shapes.get("open.pooled")?.[0];
  if (pooled && prompts && recorded.shapes.has("vector") && recorded.shapes.has("sizes")) {
    yield { name: "vector", values: await vectorOf(recorded, pooled, prompts) };
  }
}

/** SDXL: the encoders' states side by side, [P, T, C1 + C2]. */
function sideBySide(states: readonly Float32Array[], rows: number): Float32Array {
  const widths = states.map(({ length }) => length / rows);
  const context = new Float32Array(states.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (const [i, state] of states.entries()) {
      const width = widths[i]!;
      context.set(state.subarray(row * width, (row + 1) * width), at);
      at += width;
    }
  }
  return context;
}

/** SDXL: `sizes` [1, 6] (height, width, crop top, crop left, target height, target width) behind the pooled vectors of the first prompts. */
async function vectorOf(recorded: RecordedTensors, pooled: Float32Array, prompts: number): Promise<Float32Array> {
  const [rows = 0, admChannels = 0] = recorded.shapes.get("vector")!;
  const [height = 0, width = 0, top = 0, left = 0, targetHeight = 0, targetWidth = 0] = await recorded.read("sizes");
  const size = pooled.length / prompts;
  const vectors = Array.from({ length: rows }, (_, p) => pooled.subarray(p * size, (p + 1) * size));
  const sizes = { original: { width, height }, crop: { top, left }, target: { width: targetWidth, height: targetHeight } };
  return sizeVector(vectors, sizes, admChannels);
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
