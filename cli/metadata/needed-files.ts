/** @file The files that a picture was made with, found on this machine: models by their hashes, pictures where they were or beside it. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { FileSystemError } from "../../engine/errors.ts";
import { findLatentUpscaler } from "../../model/hires/index.ts";
import { findPixelUpscaler } from "../../model/upscale/index.ts";
import { embeddedModel } from "../models/embedded-model.ts";
import type { ReproduceOptions } from "../syntax/options.ts";
import { type Found, findFile, matches } from "./find-file.ts";
import type { FoundFile, NeededFiles } from "./found-files.ts";
import { findNetworks } from "./needed-networks.ts";
import type { FileReference, PictureRecipe } from "./recipe.ts";

const mostBytes = 1 << 29;

interface Search {
  readonly options: ReproduceOptions;
  readonly signal: AbortSignal;
  readonly note: (text: string) => void;
}

/** @throws FileSystemError REPRODUCE_FILE where one is nowhere */
export async function findNeeded(recipe: PictureRecipe, search: Search): Promise<NeededFiles> {
  const { options } = search;
  const beside = await folderOf(options.picture);
  const found: FoundFile[] = [];
  const words: string[] = [];
  const add = (kind: string, option: string, file: Found) => {
    found.push({ kind, ...file });
    words.push(`${option}=${file.path}`);
  };
  const models = { folders: options.modelDirs, files: [embeddedModel, ...beside], signal: search.signal, note: search.note };
  const model = async (kind: string, option: string, wanted: FileReference | undefined, own?: string) => {
    // The other two have no option of their own here.
    const hint = kind === "model" || kind === "VAE" ? `--model-dir or ${option}` : "--model-dir";
    if (own !== undefined) add(kind, option, await given(own, wanted, search.signal));
    else if (wanted !== undefined) add(kind, option, await findFile(wanted, { ...models, kind, option: hint }));
  };
  if (options.model === undefined && recipe.model === undefined) throw unnamed(recipe, "model", "-m FILE");
  await model("model", "--model", recipe.model, options.model);
  await model("VAE", "--vae", recipe.vae, options.vae);
  await model("refiner", "--refiner", recipe.refiner);
  await model("upscaler", "--hires-upscaler", upscalerOf(recipe));
  if (recipe.command !== "txt2img") add("picture to start from", "--init", await picture("init", recipe, beside, search));
  if (recipe.command === "inpaint") add("mask", "--mask", await picture("mask", recipe, beside, search));
  if (recipe.noise !== undefined) add("noise", "--noise", await placed("noise", recipe.noise, beside, search));
  const networks = await findNetworks(recipe, beside, search);
  return { found: [...found, ...networks.found], arguments: [...words, ...networks.arguments], close: networks.close };
}

/** A file that the user names is taken; whether it is the picture's is only said. */
async function given(path: string, wanted: FileReference | undefined, signal: AbortSignal): Promise<Found> {
  return { path, proved: wanted?.hash !== undefined && (await matches(path, wanted, signal)) };
}

async function picture(name: "init" | "mask", recipe: PictureRecipe, beside: readonly string[], search: Search): Promise<Found> {
  const own = search.options[name];
  const wanted = recipe[name];
  if (own !== undefined) return given(own, wanted, search.signal);
  const kind = name === "init" ? "picture to start from" : "mask";
  if (wanted === undefined) throw unnamed(recipe, kind, `--${name} FILE`);
  return placed(kind, wanted, beside, search, `--${name}`);
}

/** A1111's names of Real-ESRGAN's networks (modules/realesrgan_model.py), and their files'. */
const upscalerFiles: Readonly<Record<string, string>> = {
  "R-ESRGAN 4x+": "RealESRGAN_x4plus.pth",
  "R-ESRGAN 4x+ Anime6B": "RealESRGAN_x4plus_anime_6B.pth",
  "R-ESRGAN 2x+": "RealESRGAN_x2plus.pth",
  "R-ESRGAN General 4xV3": "realesr-general-x4v3.pth",
  "R-ESRGAN AnimeVideo": "realesr-animevideov3.pth",
};

/** The network of the second pass, unless it is an upscaler that needs no file. */
function upscalerOf({ settings: { hiresUpscaler: name }, upscaler }: PictureRecipe): FileReference | undefined {
  if (upscaler !== undefined || name === undefined) return upscaler;
  if (findLatentUpscaler(name) || findPixelUpscaler(name)) return undefined;
  return { name: Object.hasOwn(upscalerFiles, name) ? upscalerFiles[name] : name };
}

/**
 * A file that lies anywhere: where it was, or beside the picture, under its name or another. What a stranger's metadata names is taken
 * only if its hash says so, or if it is beside the picture.
 */
async function placed(
  kind: string,
  wanted: FileReference,
  beside: readonly string[],
  { options, signal }: Search,
  option?: string,
): Promise<Found> {
  const folder = dirname(resolve(options.picture));
  const named = [wanted.path, wanted.name].flatMap((name) => (name === undefined ? [] : [join(folder, basename(name))]));
  const places = storedPlaces(wanted.path, folder);
  if (wanted.hash === undefined) {
    const path = named.find((candidate) => beside.includes(candidate));
    if (path !== undefined) return { path, proved: false };
  }
  for (const path of new Set([...places, ...named, ...beside])) {
    if (path === resolve(options.picture) || !(await isReadable(path))) continue;
    if (await matches(path, wanted, signal)) return { path, proved: true };
  }
  const looked = [...new Set([...places, folder])];
  throw new FileSystemError(
    "REPRODUCE_FILE",
    `the ${kind} (${[wanted.path ?? wanted.name, wanted.hash && `SHA-256 ${wanted.hash}`].filter(Boolean).join(", ")}) is not in ${looked.join(", ")}`,
    {
      hint: option === undefined ? "put it beside the picture" : `say where it is with ${option}, or put it beside the picture`,
      context: { kind, ...wanted, looked },
    },
  );
}

/** A stored path, seen from here and from the picture. One to another machine is not followed. */
function storedPlaces(path: string | undefined, folder: string): string[] {
  if (path === undefined || path.includes("\0") || /^[/\\]{2}/.test(path)) return [];
  return [resolve(path), resolve(folder, path)];
}

/** No larger than a picture or a noise file can be: what a stranger names may have no end. */
async function isReadable(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && found.size <= mostBytes,
    () => false,
  );
}

/** The files beside the picture. */
async function folderOf(path: string): Promise<string[]> {
  const folder = dirname(resolve(path));
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .slice(0, 1000)
    .map(({ name }) => join(folder, name));
}

function unnamed({ generator }: PictureRecipe, kind: string, option: string): FileSystemError {
  return new FileSystemError("REPRODUCE_FILE", `${generator} does not say which ${kind} the picture was made with`, {
    hint: `give it: ${option}`,
    context: { kind },
  });
}
