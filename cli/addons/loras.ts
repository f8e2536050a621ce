/**
 * @file The LoRAs of a run: files that `--lora` names, and those of `--lora-dir` that a prompt's tags name. Each is opened once, as the model
 * knows by the file what is merged into it. A tag's name is only ever looked up in the folder's listing.
 */
import { realpath } from "node:fs/promises";
import { basename, extname } from "node:path";
import { UsageError } from "../../engine/errors.ts";
import { noLoraFolder } from "../../model/addons/lora-requests.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import { type LoraFile, type LoraUse, openLora } from "../../model/index.ts";
import { type Compatibility, nearestName } from "../../model/sampling/index.ts";
import { asUsageErrors, promptRulesOf } from "../../model/text/prompt-rules.ts";
import { loraTags, removeComments, removeTags } from "../../tokenizer/prompt/index.ts";
import { type FileSource, openFile } from "../files/file-source.ts";
import type { LoraReference } from "../metadata/recipe.ts";
import { fileHash } from "../models/model-hash.ts";
import { type AddonFile, listAddons } from "./files.ts";

/** One `--lora FILE:te:unet`. */
export interface LoraArgument {
  readonly path: string;
  readonly text: number;
  readonly unet: number;
}

export interface LoraChoice {
  readonly loras: readonly LoraArgument[];
  readonly loraDirs: readonly string[];
  readonly maxHeader?: number | undefined;
}

const endings = [".safetensors", ".pt", ".ckpt"];
/** Digits of a hash by which A1111 knows a LoRA. */
const shortHash = 12;

export class LoraLibrary {
  /** By real path. */
  readonly #opened = new Map<string, { readonly lora: LoraFile; readonly source: FileSource }>();
  /** By path; "" for a file without one. */
  readonly #aliases = new Map<string, string>();
  readonly #listings = new Map<string, Promise<AddonFile[]>>();

  /** What `generate` takes for these options. @throws FileSystemError and ModelFileError of a file that `--lora` names */
  async request({ loras, loraDirs, maxHeader }: LoraChoice): Promise<{
    readonly loras: readonly LoraUse[];
    readonly findLora: ((name: string) => Promise<LoraFile>) | undefined;
  }> {
    const uses: LoraUse[] = [];
    for (const { path, text, unet } of loras) uses.push({ lora: await this.#open(path, maxHeader), text, unet });
    return { loras: uses, findLora: loraDirs.length === 0 ? undefined : (name) => this.#find(name, loraDirs, maxHeader) };
  }

  /**
   * Opens what `--lora` and the prompt's tags name, and gives it, so that a mistake shows before a model is loaded.
   * @throws UsageError INVALID_PROMPT_TAG, LORA_DIR_MISSING, LORA_UNKNOWN, and as `request`
   */
  async expectKnown(
    choice: LoraChoice & { readonly prompt: string; readonly compat?: Compatibility | undefined },
  ): Promise<readonly LoraFile[]> {
    const { loras, findLora } = await this.request(choice);
    const files = loras.map(({ lora }) => lora);
    if (promptRulesOf(choice.compat).language !== "a1111") return files;
    const tags = asUsageErrors(() => loraTags(removeTags(removeComments(choice.prompt)).tags));
    for (const { name } of tags) {
      if (!findLora) throw noLoraFolder(name);
      files.push(await findLora(name));
    }
    return files;
  }

  /** LoRAs as a picture's metadata names them; those of tags without strengths, which the prompt says. */
  async references(uses: readonly LoraUse[], signal?: AbortSignal): Promise<LoraReference[]> {
    const found: LoraReference[] = [];
    for (const { lora, text, unet, tag } of uses) {
      const stated = lora.file.metadata.get("sshs_model_hash");
      const hash = await fileHash(lora.name, "weights", signal);
      const strengths = tag === undefined ? { textEncoder: text, unet } : {};
      const own = { name: tag ?? stem(lora.name), hash, hashed: "weights" as const };
      found.push({ ...own, shortHash: (stated || hash)?.slice(0, shortHash), ...strengths });
    }
    return found;
  }

  async close(): Promise<void> {
    for (const { source } of this.#opened.values()) await source.close();
    this.#opened.clear();
    this.#aliases.clear();
    this.#listings.clear();
  }

  async #open(path: string, maxHeader: number | undefined): Promise<LoraFile> {
    const key = await realpath(path).catch(() => path); // openFile says what is wrong with it
    const known = this.#opened.get(key);
    if (known) return known.lora;
    const source = await openFile(path);
    try {
      const lora = await openLora(source, maxHeader === undefined ? {} : { maxHeader });
      this.#opened.set(key, { lora, source });
      return lora;
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** The file with this name, or the one that calls itself so. @throws UsageError LORA_UNKNOWN */
  async #find(name: string, folders: readonly string[], maxHeader: number | undefined): Promise<LoraFile> {
    const files = (await Promise.all(folders.map((folder) => this.#list(folder)))).flat();
    const byName = files.find((file) => file.name === name);
    if (byName) return this.#open(byName.path, maxHeader);
    for (const { path } of files) {
      if ((await this.#aliasOf(path, maxHeader)) === name) return this.#open(path, maxHeader);
    }
    const near = nearestName(
      name,
      files.map((file) => file.name),
    );
    throw new UsageError(
      "LORA_UNKNOWN",
      `the prompt asks for the LoRA ${JSON.stringify(printable(name))}, ${listed(files, folders)}`,
      {
        hint: near === undefined ? "write the file's name without folder and ending" : `did you mean <lora:${near}:1>?`,
        context: { name, near },
      },
    );
  }

  /** What a file calls itself; a folder may hold hundreds, so none stays open for that. */
  async #aliasOf(path: string, maxHeader: number | undefined): Promise<string | undefined> {
    const known = this.#aliases.get(path);
    if (known !== undefined) return known || undefined;
    const source = await openFile(path).catch(() => undefined);
    try {
      // What can't be read has no alias.
      const alias =
        source && (await openLora(source, maxHeader === undefined ? {} : { maxHeader }).catch(() => undefined))?.alias;
      this.#aliases.set(path, alias ?? "");
      return alias;
    } finally {
      await source?.close();
    }
  }

  #list(folder: string): Promise<AddonFile[]> {
    const known = this.#listings.get(folder) ?? listAddons(folder, endings);
    this.#listings.set(folder, known);
    known.catch(() => this.#listings.delete(folder));
    return known;
  }
}

function listed(files: readonly AddonFile[], folders: readonly string[]): string {
  const where = folders.map((folder) => printable(folder, 400)).join(" and ");
  return files.length === 0 ? `there is none in ${where}` : `none of the ${files.length} in ${where} has that name`;
}

function stem(path: string): string {
  return basename(path, extname(path));
}
