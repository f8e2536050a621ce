/**
 * @file A prompt in chunks of 75 tokens as ComfyUI cuts it (comfy/sd1_clip.py): the tokens of a stretch of one weight stay together if
 * they are fewer than 8, else they fill the chunk and go on in the next; so do the vectors of a textual inversion, `embedding:name`.
 */
import type { ClipTokenizer } from "../clip-tokenizer.ts";
import type { WeightedText } from "./attention.ts";
import { type Chunk, chunkLength, chunksOf, type Draft } from "./chunks.ts";
import { parseComfyWeights } from "./comfy-weights.ts";
import type { EmbeddingName } from "./embeddings.ts";

export interface ComfyChunks {
  /** One at least. */
  readonly chunks: readonly Chunk[];
  /** Textual inversions that the prompt names and nobody has; they are passed over. */
  readonly unknown: readonly string[];
}

export interface ComfyChunkOptions {
  /** Textual inversions that there are. */
  readonly embeddings?: readonly EmbeddingName[] | undefined;
  /** What the weights are; default: `parseComfyWeights`. */
  readonly read?: ((prompt: string) => readonly WeightedText[]) | undefined;
}

/** Tokens from which on a group may be cut in two. */
const largeGroup = 8;
const marker = "embedding:";

/** Tokens of one stretch, or the vectors of one textual inversion. */
type Group = { readonly weight: number } & ({ readonly ids: readonly number[] } | { readonly embedding: EmbeddingName });

/** Text of one weight, or a textual inversion. */
type Stretch = { readonly weight: number } & ({ readonly text: string } | { readonly embedding: EmbeddingName });

/** @throws PromptTooLongError above 64 KiB; PromptError PROMPT_NESTING */
export function comfyChunks(tokenizer: ClipTokenizer, prompt: string, options: ComfyChunkOptions = {}): ComfyChunks {
  const { embeddings = [], read = parseComfyWeights } = options;
  const unknown: string[] = [];
  const stretches = read(prompt).flatMap(([text, weight]) => stretchesOf(text, weight, { embeddings, unknown }));
  const tokens = tokenizer.encodeAll(stretches.map((stretch) => ("text" in stretch ? stretch.text : "")));
  const groups = stretches.map(
    (stretch, index): Group => ("text" in stretch ? { ids: tokens[index]!, weight: stretch.weight } : stretch),
  );
  return { chunks: chunksOf(pack(groups), "end"), unknown };
}

function stretchesOf(
  text: string,
  weight: number,
  { embeddings, unknown }: { readonly embeddings: readonly EmbeddingName[]; readonly unknown: string[] },
): Stretch[] {
  if (!text.includes(marker)) return text === "" ? [] : [{ text, weight }];
  const words = text.split(/[ \n](?=embedding:)/).filter((word) => word !== "");
  return words.flatMap((word): Stretch[] => {
    const [, written = "", rest = ""] = word.startsWith(marker)
      ? (/^\s*(\S+)\s*(.*)$/s.exec(word.slice(marker.length)) ?? [])
      : [];
    if (written === "") return [{ text: word, weight }];
    const bare = written.replace(/^,+|,+$/g, "");
    const whole = named(embeddings, written);
    const embedding = whole ?? named(embeddings, bare);
    // Commas behind a name are the prompt's, unless they are in the name.
    const commas = whole ? "" : (/,*$/.exec(written)?.[0] ?? "");
    if (!embedding) unknown.push(bare);
    const behind = `${commas} ${rest}`.trim();
    return [...(embedding ? [{ embedding, weight }] : []), ...(behind === "" ? [] : [{ text: behind, weight }])];
  });
}

function named(embeddings: readonly EmbeddingName[], written: string): EmbeddingName | undefined {
  return embeddings.find(({ name }) => name === fileStem(written));
}

/** ComfyUI names the file; its ending may be left out. */
function fileStem(name: string): string {
  return name.replace(/\.(?:safetensors|pt|bin)$/, "");
}

function pack(groups: readonly Group[]): Draft[] {
  let chunk: Draft = { ids: [], weights: [], embeddings: [] };
  const chunks = [chunk];
  for (const group of groups) {
    const size = sizeOf(group);
    for (let done = 0; done < size; ) {
      const room = chunkLength - chunk.ids.length;
      const count = size - done <= room ? size - done : size >= largeGroup ? room : 0;
      add(chunk, group, done, count);
      done += count;
      if (done === size) break;
      chunk = { ids: [], weights: [], embeddings: [] };
      chunks.push(chunk);
    }
  }
  return chunks;
}

function sizeOf(group: Group): number {
  return "ids" in group ? group.ids.length : group.embedding.vectors;
}

/** Tokens or vectors `first` .. `first + count - 1` of a group. */
function add(chunk: Draft, group: Group, first: number, count: number): void {
  if (count === 0) return;
  if ("embedding" in group)
    chunk.embeddings.push({ name: group.embedding.name, vectors: count, offset: chunk.ids.length, first });
  for (let i = first; i < first + count; i++) {
    chunk.ids.push("ids" in group ? group.ids[i]! : 0);
    chunk.weights.push(group.weight);
  }
}
