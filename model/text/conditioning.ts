/**
 * @file What the U-Net is told at each of its calls: the contexts of the negative prompt and of the prompt's parts, which prompt
 * editing changes on the way. A1111 1.10: modules/prompt_parser.py (get_learned_conditioning, reconstruct_multicond_batch, stack_conds).
 */
import {
  type Chunk,
  chunkLength,
  type Emphasis,
  entryAt,
  type PlannedPart,
  type PromptPlan,
} from "../../tokenizer/prompt/index.ts";
import { emphasise } from "./emphasis.ts";
import type { PromptPlans } from "./prompt-rules.ts";
import type { EncodedChunk } from "./text-stage.ts";

/** Rows of a chunk: start, 75 tokens, end. */
const chunkRows = chunkLength + 2;
/** Longest context; where lengths have no common multiple up to it, the shorter one is drawn out. */
const maxChunks = 64;

/** A text, encoded. */
export interface Encoding {
  /** [rows * D]: two encoders stand side by side in D. */
  readonly context: Float32Array;
  readonly rows: number;
  /** Of the first chunk (SDXL). */
  readonly pooled: Float32Array | undefined;
}

export type EncodeChunks = (chunks: readonly Chunk[]) => Promise<readonly EncodedChunk[]>;

/** Length of the contexts of a picture, in rows: the same at every call, so that the U-Net is recorded once. */
export function contextRows({ prompt, negative }: PromptPlans, guided: boolean): number {
  const positive = chunksOf(prompt);
  if (!guided) return positive * chunkRows;
  const other = chunksOf(negative);
  const both = leastCommonMultiple(positive, other);
  return (both <= maxChunks ? both : Math.max(positive, other)) * chunkRows;
}

/** Chunks of the longest text: the others of its part are filled up with empty ones, shorter parts are drawn out. */
function chunksOf(plan: PromptPlan): number {
  return Math.max(...plan.texts.map((text) => plan.chunks(text).length));
}

/** The encoded texts of one part, in the order of its schedule. */
interface EncodedPart {
  readonly weight: number;
  readonly schedule: readonly { readonly end: number; readonly text: string; readonly encoding: Encoding }[];
}

export interface ConditioningOptions {
  /** With a negative prompt. */
  readonly guided: boolean;
  /** An empty negative prompt is zeros (SDXL). */
  readonly zeroEmptyNegative: boolean;
  /** An empty chunk, to fill up with. */
  readonly emptyChunk: Chunk;
}

/** What the U-Net is told at a call. Equal keys, equal contents. */
export interface Told {
  readonly key: string;
  readonly negative: Encoding | undefined;
  readonly parts: readonly Encoding[];
}

export class Conditioning {
  /** Rows of every context. */
  readonly rows: number;
  /** Shares of the prompt's parts. */
  readonly weights: readonly number[];
  readonly #negative: EncodedPart | undefined;
  readonly #parts: readonly EncodedPart[];

  private constructor(rows: number, negative: EncodedPart | undefined, parts: readonly EncodedPart[]) {
    this.rows = rows;
    this.weights = parts.map(({ weight }) => weight);
    this.#negative = negative;
    this.#parts = parts;
  }

  /** Encodes every text that some call needs. */
  static async encode(plans: PromptPlans, encode: EncodeChunks, options: ConditioningOptions): Promise<Conditioning> {
    const { prompt, negative } = plans;
    const encodeOne = (plan: PromptPlan, part: PlannedPart) => encodePart(plan, part, encode, options.emptyChunk);
    const parts: EncodedPart[] = [];
    for (const part of prompt.parts) parts.push(await encodeOne(prompt, part));
    let other: EncodedPart | undefined;
    if (options.guided) {
      other = await encodeOne(negative, negative.parts[0]!);
      if (options.zeroEmptyNegative && negative.texts.every((text) => text === "")) other = zeroed(other);
    }
    return new Conditioning(contextRows(plans, options.guided), other, parts);
  }

  /** Whether any call is told something else than the first. */
  get changes(): boolean {
    return [...this.#parts, ...(this.#negative ? [this.#negative] : [])].some(({ schedule }) => schedule.length > 1);
  }

  /** What is told at a call, counted from 0. */
  at(call: number): Told {
    const parts = this.#parts.map(({ schedule }) => entryAt(schedule, call));
    const negative = this.#negative && entryAt(this.#negative.schedule, call);
    const longest = Math.max(...parts.map(({ encoding }) => encoding.rows));
    return {
      key: JSON.stringify([negative, ...parts].map((entry) => entry?.text)),
      negative: negative && this.#fitted(negative.encoding),
      parts: parts.map(({ encoding }) => this.#fitted(drawnOut(encoding, longest))),
    };
  }

  /** In the common length: said several times over, which changes nothing in attention (softmax divides by as much more). */
  #fitted(encoding: Encoding): Encoding {
    const { context, rows } = encoding;
    if (this.rows % rows !== 0) return drawnOut(encoding, this.rows);
    const repeated = new Float32Array((context.length / rows) * this.rows);
    for (let at = 0; at < repeated.length; at += context.length) repeated.set(context, at);
    return { ...encoding, context: repeated, rows: this.rows };
  }
}

/** The texts of a schedule are encoded as one batch, which the weights' mean is taken over. */
async function encodePart(
  plan: PromptPlan,
  { weight, schedule }: PlannedPart,
  encode: EncodeChunks,
  emptyChunk: Chunk,
): Promise<EncodedPart> {
  const texts = [...new Set(schedule.map(({ text }) => text))];
  const length = Math.max(...texts.map((text) => plan.chunks(text).length));
  const filled = texts.map((text) => Array.from({ length }, (_, i) => plan.chunks(text)[i] ?? emptyChunk));
  const needsEmpty = plan.emphasis === "comfy" && filled.some((chunks) => chunks.some(isWeighted));
  const distinct = [...new Set([...filled.flat(), ...(needsEmpty ? [emptyChunk] : [])])];
  const encoded = new Map((await encode(distinct)).map((chunk, i) => [distinct[i]!, chunk]));
  const encodings = joined(filled, (chunk) => encoded.get(chunk)!, plan.emphasis, encoded.get(emptyChunk));
  const byText = new Map(texts.map((text, i) => [text, encodings[i]!]));
  return { weight, schedule: schedule.map(({ end, text }) => ({ end, text, encoding: byText.get(text)! })) };
}

/** chunks [B][n] -> the B encodings: weights applied chunk by chunk and encoder by encoder, chunks one behind the other. */
function joined(
  texts: readonly (readonly Chunk[])[],
  encoded: (chunk: Chunk) => EncodedChunk,
  emphasis: Emphasis,
  empty: EncodedChunk | undefined,
): Encoding[] {
  const length = texts[0]!.length;
  const pieces = Array.from({ length }, (_, i) => {
    const column = texts.map((chunks) => chunks[i]!);
    const encoders = encoded(column[0]!).states.length;
    return Array.from({ length: encoders }, (__, encoder) =>
      emphasise(
        column.map((chunk) => encoded(chunk).states[encoder]!),
        column.map((chunk) => chunk.weights),
        emphasis,
        empty?.states[encoder],
      ),
    ); //                                                                          [encoders][B] of [77 * C]
  });
  return texts.map((chunks, b) => ({
    context: concatenated(pieces.map((encoders) => sideBySide(encoders.map((batch) => batch[b]!)))),
    rows: length * chunkRows,
    pooled: encoded(chunks[0]!).pooled,
  }));
}

function isWeighted({ weights }: Chunk): boolean {
  return weights.some((weight) => weight !== 1);
}

/** [encoders] of [77 * C] -> [77 * D], D the sum of their widths. */
function sideBySide(states: readonly Float32Array[]): Float32Array {
  if (states.length === 1) return states[0]!;
  const widths = states.map(({ length }) => length / chunkRows);
  const width = widths.reduce((sum, one) => sum + one, 0);
  const context = new Float32Array(chunkRows * width);
  for (let row = 0, at = 0; row < chunkRows; row++) {
    for (const [e, state] of states.entries()) {
      context.set(state.subarray(row * widths[e]!, (row + 1) * widths[e]!), at);
      at += widths[e]!;
    }
  }
  return context;
}

function concatenated(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Made longer by saying the last row again and again. */
function drawnOut(encoding: Encoding, rows: number): Encoding {
  if (encoding.rows >= rows) return encoding;
  const { context } = encoding;
  const width = context.length / encoding.rows;
  const all = new Float32Array(rows * width);
  all.set(context);
  for (let at = context.length; at < all.length; at += width) all.set(context.subarray(-width), at);
  return { ...encoding, context: all, rows };
}

function zeroed({ weight, schedule }: EncodedPart): EncodedPart {
  const zeros = ({ context, rows, pooled }: Encoding): Encoding => ({
    context: new Float32Array(context.length),
    rows,
    pooled: pooled && new Float32Array(pooled.length),
  });
  return { weight, schedule: schedule.map((entry) => ({ ...entry, encoding: zeros(entry.encoding) })) };
}

function leastCommonMultiple(one: number, other: number): number {
  let [divisor, rest] = [one, other];
  while (rest > 0) [divisor, rest] = [rest, divisor % rest];
  return (one / divisor) * other;
}
