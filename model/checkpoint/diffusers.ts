/**
 * @file A diffusers folder seen as one checkpoint in the original layout: its tensors under the original names, its JSON files
 * as the metadata `ldm.config`. Nothing behind this knows that there was a folder.
 */
import { ModelFileError } from "../../engine/errors.ts";
import type { ByteFolder } from "./byte-folder.ts";
import { readFolderConfig, readSection, vaeSection } from "./diffusers-config.ts";
import { unetNames, vaeNames } from "./diffusers-names.ts";
import { JoinedSource, moved } from "./joined-source.ts";
import { openTensors } from "./open-tensors.ts";
import { printable } from "./printable.ts";
import type { SafetensorsFile, SafetensorsOptions, TensorEntry } from "./safetensors.ts";
import { openShards } from "./shards.ts";

/** Opens a folder with `model_index.json`. @throws ModelFileError MODEL_UNSUPPORTED, MODEL_INCOMPLETE, and those of its files */
export async function openDiffusers(folder: ByteFolder, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  await expectStableDiffusion(folder);
  const { config, defaults } = await readFolderConfig(folder);
  const unet = await openPart(folder, "unet", unetStems, options);
  const vae = await openPart(folder, "vae", unetStems, options);
  const text = await openText(folder, options);
  const isXL = unet.tensors.has("add_embedding.linear_1.weight");
  const textPath = (index: number): string => (isXL ? `conditioner.embedders.${index}` : "cond_stage_model");
  const below = (prefix: string, rename: (name: string) => string) => (name: string) => `${prefix}.${rename(name)}`;
  const parts = [
    { file: unet, rename: below("model.diffusion_model", unetNames(namesOf(unet))) },
    { file: vae, rename: below("first_stage_model", vaeNames(namesOf(vae))) },
    ...text.map((file, index) => ({ file, rename: below(`${textPath(index)}.transformer`, underTextModel) })),
  ];
  const source = new JoinedSource(
    folder.name,
    parts.map(({ file }) => file.source),
  );
  const tensors = new Map<string, TensorEntry>();
  for (const [index, { file, rename }] of parts.entries()) {
    for (const [name, entry] of file.tensors) tensors.set(rename(name), moved(entry, source.begin(index), rename(name)));
  }
  const metadata = new Map([
    ["limn.defaults", JSON.stringify(defaults)],
    ...unet.metadata,
    ["ldm.config", JSON.stringify(text.length > 0 && !hasFirstText(folder) ? withOnlySecondText(config) : config)],
  ]);
  return { source, metadata, tensors, headerBytes: parts.reduce((sum, { file }) => sum + file.headerBytes, 0) };
}

/** A VAE for `--vae`: a pipeline's folder, or the folder `vae` itself. */
export async function openDiffusersVae(folder: ByteFolder, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  const part = folder.files.has("model_index.json") ? "vae" : "";
  const file = await openPart(folder, part, unetStems, options);
  const stated = vaeSection(await readSection(folder, inPart(part, "config.json")));
  return { ...file, metadata: new Map([...file.metadata, ["ldm.config", JSON.stringify({ vae: stated })]]) };
}

const unetStems = ["diffusion_pytorch_model"];
const textStems = ["model", "pytorch_model"];

const namesOf = (file: SafetensorsFile): ReadonlySet<string> => new Set(file.tensors.keys());
const inPart = (part: string, name: string): string => (part === "" ? name : `${part}/${name}`);

/** "text_projection.weight" stands beside `text_model` in the file; the encoder looks for all its tensors in one place. */
function underTextModel(name: string): string {
  return name.startsWith("text_model.") ? name : `text_model.${name}`;
}

function hasFirstText(folder: ByteFolder): boolean {
  return [...folder.files].some((path) => path.startsWith("text_encoder/"));
}

/** The refiner has only `text_encoder_2`, which is its first. */
function withOnlySecondText(config: object): object {
  return { ...config, text: "text_2" in config ? config.text_2 : {} };
}

async function openText(folder: ByteFolder, options: SafetensorsOptions): Promise<SafetensorsFile[]> {
  const there = ["text_encoder", "text_encoder_2"].filter((part) =>
    [...folder.files].some((path) => path.startsWith(`${part}/`)),
  );
  const files: SafetensorsFile[] = [];
  for (const part of there) files.push(await openPart(folder, part, textStems, options));
  return files;
}

/** The class of the pipeline, and what it is made of. @throws ModelFileError MODEL_UNSUPPORTED */
async function expectStableDiffusion(folder: ByteFolder): Promise<void> {
  const index = await readSection(folder, "model_index.json");
  const pipeline = index.text("_class_name") ?? "";
  const known = /^(StableDiffusion|LatentConsistencyModel)\w*Pipeline$/;
  const other = /^StableDiffusion(3|\w*(Upscale|Depth2Img|UnCLIP|ImageVariation))/i;
  const hasUNet = [...folder.files].some((path) => path.startsWith("unet/"));
  if ((pipeline === "" || (known.test(pipeline) && !other.test(pipeline))) && hasUNet) return;
  throw new ModelFileError(
    "MODEL_UNSUPPORTED",
    `${folder.name}: this is a folder of ${printable(pipeline, 80) || "no pipeline"}`,
    {
      hint: "pass the folder of a Stable Diffusion 1.x, 2.x or XL model",
      context: { file: folder.name, pipeline: printable(pipeline, 80) },
    },
  );
}

/**
 * The weights of one part, whole or in shards; without a variant first, then fp16, then any other; pickled ones last.
 * @throws ModelFileError MODEL_INCOMPLETE
 */
async function openPart(
  folder: ByteFolder,
  part: string,
  stems: readonly string[],
  options: SafetensorsOptions,
): Promise<SafetensorsFile> {
  const path = weightsOf(folder, part, stems);
  if (path === undefined) return refusePart(folder, part);
  const source = await folder.open(path);
  if (!path.endsWith(".json")) return openTensors(source, options);
  return openShards(source, (shard) => folder.open(inPart(part, shard)), options);
}

function weightsOf(folder: ByteFolder, part: string, stems: readonly string[]): string | undefined {
  const inFolder = [...folder.files].filter(
    (path) => path.startsWith(inPart(part, "")) && path.split("/").length === (part === "" ? 1 : 2),
  );
  for (const format of ["safetensors", "bin"]) {
    const others = inFolder.map((path) => /\.\w+(?=\.(safetensors|bin)$)/.exec(path)?.[0] ?? "");
    for (const stem of stems) {
      for (const variant of ["", ".fp16", ...others]) {
        const names = [
          `${stem}${variant}.${format}`,
          `${stem}.${format}.index${variant}.json`,
          `${stem}${variant}.${format}.index.json`,
        ];
        const found = names.map((name) => inPart(part, name)).find((path) => inFolder.includes(path));
        if (found !== undefined) return found;
      }
    }
  }
  return undefined;
}

function refusePart(folder: ByteFolder, part: string): never {
  throw new ModelFileError("MODEL_INCOMPLETE", `${folder.name}: no weights ${part === "" ? "in it" : `in ${part}/`}`, {
    hint: "download the whole folder",
    context: { file: folder.name, part },
  });
}
