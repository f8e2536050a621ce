/** @file `limn info`: what made a picture, and how, as the metadata in its file says. */
import { ImageError } from "../../engine/errors.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import { describeRecipe, neededFiles } from "../metadata/describe.ts";
import { type PictureTexts, readPictureTexts } from "../metadata/picture-texts.ts";
import type { PictureRecipe } from "../metadata/recipe.ts";
import { recipeOf } from "../metadata/recognise.ts";
import { asCommandLine, fileArguments, toArguments } from "../metadata/to-arguments.ts";
import { embeddedModel } from "../models/embedded-model.ts";
import { fileHash } from "../models/model-hash.ts";
import type { InfoOptions } from "../syntax/options.ts";
import { jsonValue } from "../terminal/error-text.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws ImageError NO_METADATA, and those of `readPictureTexts` */
export async function run({ picture, raw, json }: InfoOptions): Promise<void> {
  const { recipe, ...found } = await readRecipe(picture);
  const again = await toType(recipe);
  const report = json
    ? `${JSON.stringify(record(picture, found, recipe, again), jsonValue)}\n`
    : lines(picture, found, recipe, { again, raw });
  await writeStdout(report);
}

/** The texts of a picture's file, and what they say. @throws ImageError NO_METADATA, and those of `readPictureTexts` */
export async function readRecipe(path: string): Promise<PictureTexts & { readonly recipe: PictureRecipe }> {
  const found = await readPictureTexts(path);
  const recipe = recipeOf(found.texts);
  if (recipe) return { ...found, recipe };
  const texts = [...found.texts.keys()];
  const there = [
    ...texts.map((keyword) => printable(keyword, 80)),
    ...found.skipped.map((text) => `${printable(text, 160)} (not read)`),
  ];
  const fact = there.length === 0 ? "it has no texts" : `of its texts none is known: ${there.slice(0, 10).join(", ")}`;
  throw new ImageError("NO_METADATA", `${path}: nothing in the file says how it was made (${fact})`, {
    hint: "many sites and editors remove it: ask for the file as it was saved first; limn, A1111, ComfyUI and stable-diffusion.cpp write it",
    context: { path, kind: found.kind, texts, skipped: found.skipped },
  });
}

/** The words that make the picture again; the checkpoint that comes with limn is no file that people know of. */
async function toType(recipe: PictureRecipe): Promise<string[]> {
  const { hash, hashed } = recipe.model ?? {};
  const isEmbedded =
    hash !== undefined && hashed === "file" && (await fileHash(embeddedModel, hashed))?.startsWith(hash) === true;
  return toArguments(recipe, fileArguments(isEmbedded ? { ...recipe, model: undefined } : recipe));
}

interface Shown {
  readonly again: readonly string[];
  readonly raw: boolean;
}

function lines(path: string, { kind, texts, skipped }: PictureTexts, recipe: PictureRecipe, { again, raw }: Shown): string {
  const described = [
    `picture     ${printable(path, 4096)} (${kind})`,
    ...describeRecipe(recipe),
    ...skipped.map((text) => `not read    ${printable(text, 160)}`),
    `again       ${printable(asCommandLine(again), 8000)}`,
  ];
  const whole = [...texts].flatMap(([keyword, text]) => [
    "",
    `--- ${printable(keyword, 80)}`,
    ...text.split("\n").map((line) => printable(line, 1 << 20)),
  ]);
  return `${[...described, ...(raw ? whole : [])].join("\n")}\n`;
}

function record(path: string, { kind, texts, skipped }: PictureTexts, recipe: PictureRecipe, again: readonly string[]): unknown {
  const files = neededFiles(recipe).map(([what, file]) => ({ kind: what, ...file }));
  return {
    file: path,
    kind,
    recipe,
    files,
    arguments: again,
    skipped,
    texts: Object.fromEntries(texts),
  };
}
