/**
 * @file Textual inversions (Gal et al. 2022): a few vectors that stand in the place of a word. Read in the forms that AUTOMATIC1111's web UI,
 * kohya-ss's sd-scripts and diffusers write, pickled or safetensors.
 */
import { ModelFileError } from "../../engine/errors.ts";
import { maxVectors } from "../../tokenizer/prompt/index.ts";
import { type ByteSource, MemorySource } from "../checkpoint/byte-source.ts";
import { openTensors } from "../checkpoint/open-tensors.ts";
import { printable } from "../checkpoint/printable.ts";
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { readValues } from "../checkpoint/values.ts";

/** Vectors for one text encoder. */
export interface Table {
  readonly width: number;
  /** [n * width] */
  readonly values: Float32Array;
}

/** One textual inversion, in memory: the largest is half a megabyte. */
export interface TextualInversion {
  /** As written in a prompt. */
  readonly name: string;
  /** Vectors, each in the place of one token: 1 to 75. */
  readonly vectors: number;
  /** One for each text encoder that it was made for: SDXL's has two. */
  readonly tables: readonly Table[];
  /** SHA-256 of the file in hex; its first twelve digits are A1111's "TI hashes". Undefined where it has no file of its own. */
  readonly hash: string | undefined;
  /** Differs where the vectors may: one name can mean several. */
  readonly id: string;
}

/** Far above any: 75 vectors of both of SDXL's encoders are 600 KB. */
const maxBytes = 64 * 1024 * 1024;
const families: ReadonlyMap<string, string> = new Map([
  ["768", "Stable Diffusion 1"],
  ["1024", "Stable Diffusion 2"],
  ["768+1280", "SDXL"],
  ["1280", "the SDXL refiner"],
]);

/**
 * Reads a textual inversion.
 * @throws ModelFileError NOT_AN_EMBEDDING, EMBEDDING_SHAPE, CHECKPOINT_NONFINITE, and those of openTensors
 */
export async function readTextualInversion(source: ByteSource, name: string): Promise<TextualInversion> {
  if (source.size > maxBytes) {
    throw notOne(source.name, `a file of ${source.size} bytes`, "pass a textual inversion; other models go elsewhere");
  }
  const bytes = await source.read(0, source.size);
  const file = await openTensors(new MemorySource(bytes, source.name));
  const hash = await hashOf(bytes);
  return textualInversion(source.name, { name, tables: await readTables(file), hash, id: hash });
}

/** @throws ModelFileError NOT_AN_EMBEDDING, EMBEDDING_SHAPE */
export async function readTables(file: SafetensorsFile): Promise<Table[]> {
  const tables: Table[] = [];
  for (const key of tableNames(file)) tables.push(await readTable(file, key));
  return tables;
}

/** One of these tables, if they can be one. @throws ModelFileError EMBEDDING_SHAPE, CHECKPOINT_NONFINITE */
export function textualInversion(file: string, made: Omit<TextualInversion, "vectors">): TextualInversion {
  const [vectors = 0, ...others] = made.tables.map(({ width, values }) => values.length / width);
  const other = others.find((count) => count !== vectors);
  if (other !== undefined) throw wrongShape(file, `${vectors} vectors for one text encoder and ${other} for the other`);
  if (vectors < 1 || vectors > maxVectors) {
    throw wrongShape(file, `${vectors} vectors, a prompt's chunk has room for 1 to ${maxVectors}`);
  }
  if (made.tables.every(({ values }) => values.every(Number.isFinite))) return { ...made, vectors };
  throw new ModelFileError("CHECKPOINT_NONFINITE", `${file}: the textual inversion holds NaN or infinity`, {
    hint: "its training went wrong: get another",
    context: { file },
  });
}

/** SHA-256 in hex. */
export async function hashOf(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", Uint8Array.from(bytes)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The tensors that count, in the order of the encoders. */
function tableNames(file: SafetensorsFile): string[] {
  const names = [...file.tensors.keys()];
  const both = ["clip_l", "clip_g"].filter((name) => file.tensors.has(name));
  if (both.length > 0) return both;
  if (file.tensors.has("emb_params")) return ["emb_params"];
  const first = names.find((name) => name.startsWith("string_to_param."));
  if (first !== undefined) return [first];
  // diffusers: the one key is the word that it stands for.
  if (names.length === 1 && (file.tensors.get(names[0]!)?.shape.length ?? 0) <= 2) return names;
  throw notOne(
    file.source.name,
    `${names.length} tensors (${names
      .slice(0, 3)
      .map((name) => printable(name, 40))
      .join(", ")})`,
    "`limn inspect` shows what the file holds",
  );
}

/** [n, d], or [d] for one vector. */
async function readTable(file: SafetensorsFile, key: string): Promise<Table> {
  const { shape } = file.tensors.get(key)!;
  const [count, width] = shape.length === 1 ? [1, shape[0]!] : shape;
  if (shape.length < 1 || shape.length > 2 || !count || !width)
    throw wrongShape(file.source.name, `"${printable(key)}" is [${shape}], not [vectors, width]`);
  return { width, values: await readValues(file, key) };
}

/**
 * The vectors [n * width] for one encoder of a model whose encoders have these widths.
 * @throws ModelFileError EMBEDDING_FAMILY where it was made for another family
 */
export function vectorsFor({ name, tables }: TextualInversion, widths: readonly number[], encoder: number): Float32Array {
  // The refiner has only the second of SDXL's encoders.
  const fitting = tables.length > widths.length ? tables.slice(-widths.length) : tables;
  const table = fitting[encoder];
  const fits = fitting.length === widths.length && fitting.every(({ width }, i) => width === widths[i]);
  if (table && fits) return table.values;
  const [made, model] = [tables.map(({ width }) => width).join("+"), widths.join("+")];
  const named = (key: string): string => (families.has(key) ? `${families.get(key)} (${key} wide)` : `text encoders ${key} wide`);
  throw new ModelFileError(
    "EMBEDDING_FAMILY",
    `the textual inversion "${printable(name)}" was made for ${named(made)}, this model is ${named(model)}`,
    {
      hint: "take it out of the prompt, or get one that was made for this family",
      context: { name, made, model },
    },
  );
}

function notOne(file: string, fact: string, hint: string): ModelFileError {
  return new ModelFileError("NOT_AN_EMBEDDING", `${file}: this is no textual inversion: ${fact}`, { hint, context: { file } });
}

function wrongShape(file: string, fact: string): ModelFileError {
  return new ModelFileError("EMBEDDING_SHAPE", `${file}: the textual inversion has ${fact}`, {
    hint: "get it from its source again; it may be of another kind of model",
    context: { file },
  });
}
