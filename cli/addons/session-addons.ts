/** @file What is added to a session's models: LoRAs, hypernetworks and textual inversions, each file opened once for all pictures. */
import { bundledEmbeddings } from "../../model/addons/bundled-embeddings.ts";
import type { NamedEmbeddings } from "../../model/addons/embedding-library.ts";
import type { GeneratedImage, GenerateOptions } from "../../model/index.ts";
import type { UsedFiles } from "../metadata/record.ts";
import type { Txt2imgOptions } from "../syntax/options.ts";
import { EmbeddingShelf, embeddingReferences } from "./embeddings.ts";
import { HypernetworkLibrary } from "./hypernetworks.ts";
import { LoraLibrary } from "./loras.ts";

type Requested = Pick<GenerateOptions, "loras" | "findLora" | "hypernetworks" | "findHypernetwork" | "embeddings">;

export class SessionAddons {
  readonly #loras = new LoraLibrary();
  readonly #embeddings = new EmbeddingShelf();
  readonly #hypernetworks = new HypernetworkLibrary();

  /**
   * Opens all that options and prompts name, so that a mistake shows before a model is loaded.
   * @throws UsageError, FileSystemError and ModelFileError, those of the three
   */
  async expectKnown(options: Txt2imgOptions): Promise<void> {
    await this.#hypernetworks.expectKnown(options);
    await this.embeddings(options);
  }

  /** The textual inversions that the prompts may name, those inside of LoRAs too. */
  async embeddings(options: Txt2imgOptions): Promise<NamedEmbeddings | undefined> {
    const { prompt, negative, hires } = options;
    const bundled = (await this.#loras.expectKnown(options)).flatMap(({ file }) => bundledEmbeddings(file));
    return this.#embeddings.namedIn(options, [prompt, negative, hires?.prompt, hires?.negative], bundled);
  }

  /** What `generate` takes for these options. */
  async request(options: Txt2imgOptions): Promise<Requested> {
    const embeddings = await this.embeddings(options);
    return { embeddings, ...(await this.#loras.request(options)), ...(await this.#hypernetworks.request(options)) };
  }

  /** Those that a picture made use of, as its metadata names them. */
  async references(
    options: Txt2imgOptions,
    used: GeneratedImage,
    signal: AbortSignal,
  ): Promise<Pick<UsedFiles, "loras" | "hypernetworks" | "embeddings">> {
    return {
      loras: await this.#loras.references(used.loras, signal),
      hypernetworks: await this.#hypernetworks.references(used.hypernetworks, signal),
      embeddings: embeddingReferences(used.embeddings, await this.embeddings(options)),
    };
  }

  async close(): Promise<void> {
    await this.#loras.close();
    await this.#hypernetworks.close();
  }
}
