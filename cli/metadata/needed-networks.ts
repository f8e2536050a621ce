/** @file LoRAs, embeddings and hypernetworks that a picture was made with, found by their hashes and put where a prompt's names find them. */
import { removeTags } from "../../tokenizer/prompt/index.ts";
import type { ReproduceOptions } from "../syntax/options.ts";
import { stem } from "./a1111-text.ts";
import { type Found, findFile } from "./find-file.ts";
import type { FoundFile, NeededFiles } from "./found-files.ts";
import { type NamedFile, type NamedFolder, namedFolder } from "./named-folder.ts";
import type { LoraReference, PictureRecipe } from "./recipe.ts";

interface Search {
  readonly options: ReproduceOptions;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** What a kind of network is called, where it is looked for, and which options take it. */
interface Kind {
  readonly kind: string;
  readonly folders: readonly string[];
  readonly option: string;
  /** The option and its value for a file with strengths; undefined where only a prompt can name one. */
  readonly fileArgument?: (path: string, strengths: { readonly textEncoder: number; readonly unet: number }) => string;
  /** Takes a folder; prompts name what is in it. */
  readonly folderOption: string;
}

/** @throws FileSystemError REPRODUCE_FILE, REPRODUCE_NAME, REPRODUCE_FOLDER */
export async function findNetworks(recipe: PictureRecipe, beside: readonly string[], search: Search): Promise<NeededFiles> {
  const { modelDirs, loraDirs, embeddingDirs, hypernetDirs } = search.options;
  const lora: Kind = {
    kind: "LoRA",
    folders: [...loraDirs, ...modelDirs],
    option: "--lora-dir",
    fileArgument: (path, { textEncoder, unet }) => `--lora=${path}:${textEncoder}:${unet}`,
    folderOption: "--lora-dir",
  };
  const embedding: Kind = {
    kind: "embedding",
    folders: [...embeddingDirs, ...modelDirs],
    option: "--embedding-dir",
    folderOption: "--embedding-dir",
  };
  const hypernetwork: Kind = {
    kind: "hypernet",
    folders: [...hypernetDirs, ...modelDirs],
    option: "--hypernet-dir",
    fileArgument: (path, { unet }) => `--hypernet=${path}:${unet}`,
    folderOption: "--hypernet-dir",
  };
  const made: NamedFolder[] = [];
  const close = async () => {
    for (const folder of made) await folder.remove();
  };
  const found: FoundFile[] = [];
  const words: string[] = [];
  try {
    for (const [kind, wanted] of [
      [lora, references(recipe, recipe.loras, ["lora", "lyco"])],
      [hypernetwork, references(recipe, recipe.hypernetworks, ["hypernet"])],
      [embedding, recipe.embeddings],
    ] as const) {
      const files = await findAll(kind, wanted, beside, search);
      found.push(...files.map(({ file }) => ({ kind: kind.kind, ...file })));
      words.push(...files.flatMap(({ file, reference }) => fileArgument(kind, file, reference)));
      const named = files.filter(({ file, reference }) => fileArgument(kind, file, reference).length === 0).map(byName);
      if (named.length === 0) continue;
      const folder = await namedFolder(named);
      made.push(folder);
      words.push(`${kind.folderOption}=${folder.path}`);
    }
    return { found, arguments: words, close };
  } catch (error) {
    await close();
    throw error;
  }
}

interface FoundNetwork {
  readonly file: Found;
  readonly reference: LoraReference;
}

async function findAll(
  { kind, folders, option }: Kind,
  references: readonly LoraReference[],
  beside: readonly string[],
  { signal, note }: Search,
): Promise<FoundNetwork[]> {
  const found: FoundNetwork[] = [];
  for (const reference of references) {
    found.push({ reference, file: await findFile(reference, { kind, folders, files: beside, option, signal, note }) });
  }
  return found;
}

/** For one that stands in no prompt. */
function fileArgument(kind: Kind, { path }: Found, { textEncoder, unet = textEncoder }: LoraReference): string[] {
  if (kind.fileArgument === undefined || textEncoder === undefined || unet === undefined) return [];
  return [kind.fileArgument(path, { textEncoder, unet })];
}

function byName({ file, reference }: FoundNetwork): NamedFile {
  return { name: reference.name ?? stem(file.path), path: file.path };
}

/** Networks of the metadata, and those of the prompt's tags that it gives no hash for. */
function references(
  { prompt, settings }: PictureRecipe,
  listed: readonly LoraReference[],
  kinds: readonly string[],
): readonly LoraReference[] {
  // Their prompts have no tags.
  if (["comfy", "diffusers", "compvis"].includes(settings.compat ?? "")) return listed;
  const plain = (name: string) => name.replaceAll(/[:,]/g, "");
  const tagged = removeTags(prompt).tags.filter(({ kind }) => kinds.includes(kind));
  const names = [...new Set(tagged.map((tag) => tag.arguments[0] ?? ""))];
  const known = new Map(listed.filter(isTagged).map((reference) => [plain(reference.name ?? ""), reference]));
  // A1111 leaves separators out of the name beside the hash.
  const ofTags = names.map((name) => ({ ...known.get(plain(name)), name }));
  return [...listed.filter((reference) => !isTagged(reference)), ...ofTags];
}

/** A prompt's tag says the strength of this one. */
function isTagged({ textEncoder }: LoraReference): boolean {
  return textEncoder === undefined;
}
