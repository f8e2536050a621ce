/** @file The hypernetworks of a run: files that `--hypernet` names, and those of `--hypernet-dir` that a prompt's tags name. Each is opened once. */
import { realpath } from "node:fs/promises";
import { basename, extname } from "node:path";
import { UsageError } from "../../engine/errors.ts";
import { type HypernetworkFile, openHypernetwork } from "../../model/addons/hypernetwork.ts";
import { type HypernetworkUse, noHypernetworkFolder } from "../../model/addons/hypernetwork-requests.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import { type Compatibility, nearestName } from "../../model/sampling/index.ts";
import { asUsageErrors, promptRulesOf } from "../../model/text/prompt-rules.ts";
import { hypernetTags, removeComments, removeTags } from "../../tokenizer/prompt/index.ts";
import { type FileSource, openFile } from "../files/file-source.ts";
import type { LoraReference } from "../metadata/recipe.ts";
import { fileHash } from "../models/model-hash.ts";
import { listAddons } from "./files.ts";

/** One `--hypernet FILE:strength`. */
export interface HypernetArgument {
  readonly path: string;
  readonly strength: number;
}

export interface HypernetChoice {
  readonly hypernets: readonly HypernetArgument[];
  readonly hypernetDirs: readonly string[];
}

/** What `generate` takes. */
interface Requested {
  readonly hypernetworks: readonly HypernetworkUse[];
  readonly findHypernetwork: ((name: string) => Promise<HypernetworkFile>) | undefined;
}

export class HypernetworkLibrary {
  /** By real path. */
  readonly #opened = new Map<string, { readonly hypernetwork: HypernetworkFile; readonly source: FileSource }>();

  /** @throws FileSystemError and ModelFileError of a file that `--hypernet` names */
  async request({ hypernets, hypernetDirs }: HypernetChoice): Promise<Requested> {
    const uses: HypernetworkUse[] = [];
    for (const { path, strength } of hypernets) uses.push({ hypernetwork: await this.#open(path), strength });
    const find = hypernetDirs.length === 0 ? undefined : (name: string) => this.#find(name, hypernetDirs);
    return { hypernetworks: uses, findHypernetwork: find };
  }

  /**
   * Opens what `--hypernet` and the prompt's tags name, so that a mistake shows before a model is loaded.
   * @throws UsageError INVALID_PROMPT_TAG, HYPERNET_DIR_MISSING, HYPERNET_UNKNOWN, and as `request`
   */
  async expectKnown(
    choice: HypernetChoice & { readonly prompt: string; readonly compat?: Compatibility | undefined },
  ): Promise<void> {
    const { findHypernetwork } = await this.request(choice);
    if (promptRulesOf(choice.compat).language !== "a1111") return;
    const tags = asUsageErrors(() => hypernetTags(removeTags(removeComments(choice.prompt)).tags));
    for (const { name } of tags) {
      if (!findHypernetwork) throw noHypernetworkFolder(name);
      await findHypernetwork(name);
    }
  }

  /** As a picture's metadata names them; those of tags without a strength, which the prompt says. */
  async references(uses: readonly HypernetworkUse[], signal?: AbortSignal): Promise<LoraReference[]> {
    const found: LoraReference[] = [];
    for (const { hypernetwork, strength, tag } of uses) {
      const path = hypernetwork.file.source.name;
      const name = tag ?? basename(path, extname(path));
      const hash = await fileHash(path, "file", signal);
      found.push({ name, hash, hashed: "file", ...(tag === undefined ? { textEncoder: strength } : {}) });
    }
    return found;
  }

  async close(): Promise<void> {
    for (const { source } of this.#opened.values()) await source.close();
    this.#opened.clear();
  }

  async #open(path: string): Promise<HypernetworkFile> {
    const key = await realpath(path).catch(() => path); // openFile says what is wrong with it
    const known = this.#opened.get(key);
    if (known) return known.hypernetwork;
    const source = await openFile(path);
    try {
      const hypernetwork = await openHypernetwork(source);
      this.#opened.set(key, { hypernetwork, source });
      return hypernetwork;
    } catch (error) {
      await source.close();
      throw error;
    }
  }

  /** @throws UsageError HYPERNET_UNKNOWN */
  async #find(name: string, folders: readonly string[]): Promise<HypernetworkFile> {
    const files = (await Promise.all(folders.map((folder) => listAddons(folder, [".pt"])))).flat();
    const found = files.find((file) => file.name === name);
    if (found) return this.#open(found.path);
    const names = files.map((file) => file.name);
    const near = nearestName(name, names);
    const where = folders.map((folder) => printable(folder, 400)).join(" and ");
    throw new UsageError(
      "HYPERNET_UNKNOWN",
      `the prompt asks for the hypernetwork ${JSON.stringify(printable(name))}, none of the ${files.length} in ${where} has that name`,
      {
        hint: near === undefined ? "write the file's name without folder and ending" : `did you mean <hypernet:${near}:1>?`,
        context: { name, near },
      },
    );
  }
}
