/** @file `limn prompt`: what a prompt means, with --explain token by token; or rows of results for every prompt in a JSON file. */
import { UsageError } from "../../engine/errors.ts";
import { ClipTokenizer, PromptTooLongError } from "../../tokenizer/index.ts";
import {
  type Chunk,
  embeddingLookup,
  PromptError,
  type PromptPlan,
  parseAttention,
  planPrompt,
  promptRow,
} from "../../tokenizer/prompt/index.ts";
import { EmbeddingShelf } from "../addons/embeddings.ts";
import type { PromptOptions } from "../syntax/options.ts";
import { oneLine } from "../terminal/error-text.ts";
import { writeStdout } from "../terminal/stdout.ts";
import { readStrings } from "./tokenize.ts";

/** @throws UsageError INVALID_FILE, PROMPT_TOO_LONG, INVALID_PROMPT_TAG, INVALID_PROMPT_WEIGHT; FileSystemError those of `openFile` */
export async function run({ text, file, steps, explain, json, embeddingDirs }: PromptOptions): Promise<void> {
  if (file !== undefined) {
    const rows = (await readStrings(file)).map((prompt) => usage(() => promptRow(prompt)));
    return writeStdout(json ? `${JSON.stringify(rows)}\n` : rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  }
  const prompt = text ?? "";
  const tokenizer = new ClipTokenizer();
  const named = await new EmbeddingShelf().namedIn({ embeddingDirs }, [prompt]);
  const report = usage(() => {
    const plan = planPrompt(tokenizer, prompt, steps, { embeddings: named && embeddingLookup(tokenizer, named.names) });
    return json
      ? `${JSON.stringify(record(plan, tokenizer, { prompt, steps, explain }))}\n`
      : lines(plan, tokenizer, { steps, explain });
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

function record(
  plan: PromptPlan,
  tokenizer: ClipTokenizer,
  { prompt, steps, explain }: { readonly prompt: string; readonly steps: number; readonly explain: boolean },
): unknown {
  const { tags, loras, parts } = plan;
  const summary = { prompt, steps, tags, loras, parts };
  if (!explain) return summary;
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
  return { ...summary, texts };
}

function tokensOf(chunk: Chunk, tokenizer: ClipTokenizer): { id: number; text: string; weight: number }[] {
  return Array.from({ length: chunk.tokens }, (_, index) => {
    const id = chunk.ids[index + 1]!;
    return { id, text: tokenizer.decode([id]), weight: chunk.weights[index + 1]! };
  });
}

function lines(
  plan: PromptPlan,
  tokenizer: ClipTokenizer,
  { steps, explain }: { readonly steps: number; readonly explain: boolean },
): string {
  const written: string[] = [];
  for (const { name, textEncoder, unet } of plan.loras) {
    written.push(`LoRA ${quoted(name)}: ${shown(textEncoder)} in the text encoder, ${shown(unet)} in the U-Net`);
  }
  for (const { kind, arguments: list } of plan.tags) {
    if (kind !== "lora" && kind !== "lyco") written.push(`tag ${quoted(kind)}: ${list.map(quoted).join(", ")}`);
  }
  plan.parts.forEach(({ weight, schedule }, index) => {
    written.push(`part ${index + 1} of ${plan.parts.length}, weight ${shown(weight)}, ${steps} steps`);
    let first = 1;
    for (const { end, text } of schedule) {
      written.push(`  ${(first === end ? `${end}` : `${first}-${end}`).padEnd(9)}  ${quoted(text)}`);
      first = end + 1;
    }
  });
  if (explain) for (const text of plan.texts) written.push(...chunkLines(text, plan.chunks(text), tokenizer));
  return written.map((line) => `${oneLine(line)}\n`).join("");
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
