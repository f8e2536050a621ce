/** @file `limn prompt`: what a prompt means, with --explain token by token; or rows of results for every prompt in a JSON file. */
import { UsageError } from "../../engine/errors.ts";
import { resolveSampler, type SamplerEntry, samplers } from "../../model/sampling/index.ts";
import { ClipTokenizer, PromptTooLongError } from "../../tokenizer/index.ts";
import {
  type Chunk,
  embeddingLookup,
  PromptError,
  type PromptPlan,
  parseAttention,
  planPrompt,
  promptRow,
  type ScheduleEntry,
} from "../../tokenizer/prompt/index.ts";
import { EmbeddingShelf } from "../addons/embeddings.ts";
import type { PromptOptions } from "../syntax/options.ts";
import { oneLine } from "../terminal/error-text.ts";
import { writeStdout } from "../terminal/stdout.ts";
import { readStrings } from "./tokenize.ts";

/** How a prompt is spread over the run. */
interface Run {
  readonly prompt: string;
  readonly steps: number;
  readonly sampler: SamplerEntry | undefined;
  /** Model calls, in which the schedule counts. */
  readonly calls: number;
  readonly explain: boolean;
}

/**
 * @throws UsageError INVALID_FILE, PROMPT_TOO_LONG, INVALID_PROMPT_TAG, INVALID_PROMPT_WEIGHT, UNKNOWN_SAMPLER; FileSystemError those of `openFile`
 */
export async function run({ text, file, steps, sampler: name, explain, json, embeddingDirs }: PromptOptions): Promise<void> {
  if (file !== undefined) {
    const rows = (await readStrings(file)).map((prompt) => usage(() => promptRow(prompt)));
    return writeStdout(json ? `${JSON.stringify(rows)}\n` : rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
  const prompt = text ?? "";
  const sampler = name === undefined ? undefined : resolveSampler(name).sampler;
  const calls = sampler?.secondOrder ? 2 * steps : steps;
  const tokenizer = new ClipTokenizer();
  const named = await new EmbeddingShelf().namedIn({ embeddingDirs }, [prompt]);
  const report = usage(() => {
    const plan = planPrompt(tokenizer, prompt, calls, { embeddings: named && embeddingLookup(tokenizer, named.names) });
    const spread = { prompt, steps, sampler, calls, explain };
    return json ? `${JSON.stringify(record(plan, tokenizer, spread))}\n` : lines(plan, tokenizer, spread);
  });
  await writeStdout(report);
}

/** The prompt language's errors are the user's. */
function usage<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof PromptError) throw new UsageError(error.code, error.message, { hint: error.hint, cause: error });
    if (error instanceof PromptTooLongError)
      throw new UsageError(error.code, error.message, { hint: "shorten it", cause: error });
    throw error;
  }
}

function record(plan: PromptPlan, tokenizer: ClipTokenizer, { prompt, steps, calls, explain }: Run): unknown {
  const { tags, loras } = plan;
  const summary = { prompt, steps, calls, tags, loras, parts: plan.parts };
  if (!explain) return summary;
  const parts = plan.parts.map((part) => ({ ...part, calls: callsOf(part.schedule, calls) }));
  const texts = plan.texts.map((text) => ({
    text,
    attention: parseAttention(text),
    chunks: plan.chunks(text).map((chunk) => ({
      tokens: tokensOf(chunk, tokenizer),
      ids: [...chunk.ids],
      weights: [...chunk.weights],
      embeddings: chunk.embeddings,
    })),
  }));
  return { ...summary, parts, texts };
}

function tokensOf(chunk: Chunk, tokenizer: ClipTokenizer): { id: number; text: string; weight: number }[] {
  return Array.from({ length: chunk.tokens }, (_, index) => {
    const id = chunk.ids[index + 1]!;
    return { id, text: tokenizer.decode([id]), weight: chunk.weights[index + 1]! };
  });
}

function lines(plan: PromptPlan, tokenizer: ClipTokenizer, { steps, sampler, calls, explain }: Run): string {
  const written: string[] = [];
  for (const { name, textEncoder, unet } of plan.loras) {
    written.push(`LoRA ${quoted(name)}: ${shown(textEncoder)} in the text encoder, ${shown(unet)} in the U-Net`);
  }
  for (const { kind, arguments: list } of plan.tags) {
    if (kind !== "lora" && kind !== "lyco") written.push(`tag ${quoted(kind)}: ${list.map(quoted).join(", ")}`);
  }
  plan.parts.forEach(({ weight, schedule }, index) => {
    written.push(
      `part ${index + 1} of ${plan.parts.length}, weight ${shown(weight)}, ${steps} steps${calls === steps ? "" : `, ${calls} calls`}`,
    );
    let first = 1;
    for (const { end, text } of schedule) {
      written.push(`  ${range(first, end)}  ${quoted(text)}`);
      first = end + 1;
    }
    if (explain && schedule.length > 1) written.push(...callLines(schedule, calls));
  });
  if (explain && sampler === undefined && plan.parts.some(({ schedule }) => schedule.length > 1)) written.push(twice(steps));
  if (explain) for (const text of plan.texts) written.push(...chunkLines(text, plan.chunks(text), tokenizer));
  return written.map((line) => `${oneLine(line)}\n`).join("");
}

interface Calls {
  readonly text: string;
  /** Counted from 1. */
  readonly first: number;
  readonly last: number;
}

/** The model calls that see each text, in order; a text whose turn never comes is left out. */
function callsOf(schedule: readonly ScheduleEntry[], calls: number): Calls[] {
  // The web UI counts calls from 0 and takes a text up to the call of its last step: the first lasts one call longer.
  return schedule.flatMap(({ end, text }, index) => {
    const first = index === 0 ? 1 : schedule[index - 1]!.end + 2;
    return first <= calls ? [{ text, first, last: Math.min(end + 1, calls) }] : [];
  });
}

function callLines(schedule: readonly ScheduleEntry[], calls: number): string[] {
  return [
    "  in model calls (each text gives way one call after its last step, as in the web UI):",
    ...callsOf(schedule, calls).map(({ text, first, last }) => `  ${range(first, last)}  ${quoted(text)}`),
  ];
}

function twice(steps: number): string {
  const names = samplers.flatMap(({ name, secondOrder }) => (secondOrder ? [name] : []));
  return `${names.join(", ")} ask the model twice a step and count ${2 * steps} calls: --sampler ${names[0]} shows when the text changes there`;
}

function range(first: number, last: number): string {
  return (first === last ? `${last}` : `${first}-${last}`).padEnd(9);
}

function chunkLines(text: string, chunks: readonly Chunk[], tokenizer: ClipTokenizer): string[] {
  return chunks.flatMap((chunk, index) => [
    `chunk ${index + 1} of ${chunks.length} of ${quoted(text)}: ${chunk.tokens} of 75 tokens`,
    ...tokensOf(chunk, tokenizer).map(({ id, weight, text }, at) => {
      const placed = chunk.embeddings.find(({ offset, vectors }) => at + 1 >= offset && at + 1 < offset + vectors);
      const [number, what] = placed
        ? ["-", `${quoted(placed.name)}: vector ${at + 2 - placed.offset} of ${placed.vectors}`]
        : [String(id), quoted(text)];
      return `  ${number.padStart(5)}  ${shown(weight).padEnd(8)}  ${what}`;
    }),
  ]);
}

function quoted(text: string): string {
  return JSON.stringify(text);
}

function shown(value: number): string {
  return String(Number(value.toPrecision(6)));
}
