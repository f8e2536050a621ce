/** @file `limn reproduce`: a picture made again from its own metadata, and how far the two are apart. */
import { AdapterError } from "../../engine/errors.ts";
import { tiers } from "../../engine/tier.ts";
import { printable } from "../../model/checkpoint/printable.ts";
import type { Raster } from "../../model/image/index.ts";
import { prepareOutput } from "../files/output.ts";
import { readImage } from "../image/read-image.ts";
import { type Comparison, describeComparison, isSame } from "../metadata/comparison.ts";
import { difference } from "../metadata/difference.ts";
import type { FoundFile } from "../metadata/found-files.ts";
import { findNeeded } from "../metadata/needed-files.ts";
import type { PictureRecipe } from "../metadata/recipe.ts";
import { toArguments } from "../metadata/to-arguments.ts";
import { readInit } from "../pictures/init.ts";
import { readNoise } from "../pictures/latent-file.ts";
import { pictureFile, withoutAlpha } from "../pictures/picture-file.ts";
import { type PictureRequest, Session, type SessionPicture } from "../pictures/session.ts";
import { parseArguments } from "../syntax/arguments.ts";
import type { CommandContext, GpuOptions, Invocation, ReproduceOptions } from "../syntax/options.ts";
import { jsonValue } from "../terminal/error-text.ts";
import { exitCodes } from "../terminal/exit-codes.ts";
import { Progress } from "../terminal/progress.ts";
import { writeStdout } from "../terminal/stdout.ts";
import { packageVersion } from "../version.ts";
import { readRecipe } from "./info.ts";

/** Exit code 1 where the pictures differ. @throws LimnError of every class, NO_METADATA and REPRODUCE_FILE its own; the signal's reason */
export async function run(options: ReproduceOptions, context: CommandContext): Promise<void> {
  const { picture, output, overwrite, tolerance, json } = options;
  const progress = new Progress(options);
  const note = (text: string) => progress.note(text);
  const place = output === undefined ? undefined : await prepareOutput(output, { overwrite });
  const { recipe } = await readRecipe(picture);
  const old = await readImage(picture, { background: [255, 255, 255], note });
  const needed = await findNeeded(recipe, { options, signal: context.signal, note });
  try {
    const request = await requestOf(recipe, [...needed.arguments, ...readerArguments(options)]);
    const made = await make(request, recipe, options, context);
    const kept = await place?.write(pictureFile(made));
    const comparison = compare(recipe, needed.found, old, made, tolerance);
    const lines = [
      `${"picture".padEnd(11)} ${printable(picture, 4096)}`,
      ...describeComparison(comparison),
      ...(kept === undefined ? [] : [`${"kept as".padEnd(11)} ${kept}`]),
    ];
    await writeStdout(
      json ? `${JSON.stringify(record(picture, comparison, request, kept), jsonValue)}\n` : `${lines.join("\n")}\n`,
    );
    if (!isSame(comparison)) process.exitCode = exitCodes.bug;
  } finally {
    await needed.close();
  }
}

function compare(
  recipe: PictureRecipe,
  files: readonly FoundFile[],
  old: Raster,
  { image: { width, height, pixels }, machine }: SessionPicture,
  tolerance: number,
): Comparison {
  const sameSize = old.width === width && old.height === height;
  return {
    ...{ recipe, files, tolerance, machine },
    old: { width: old.width, height: old.height },
    new: { width, height },
    difference: sameSize ? difference(old.data, withoutAlpha(pixels), tolerance) : undefined,
  };
}

/** The recipe goes through the command line's own checks. @throws UsageError those of the picture commands */
async function requestOf(recipe: PictureRecipe, files: readonly string[]): Promise<PictureRequest> {
  const invocation = parseArguments(toArguments(recipe, files), packageVersion);
  const { options } = pictureInvocation(invocation);
  return {
    options,
    batch: { index: recipe.settings.batchIndex ?? 0, size: options.batch },
    init: await readInit(options),
    noise: options.noise === undefined ? undefined : await readNoise(options.noise),
  };
}

type PictureInvocation = Extract<Invocation, { readonly command: "txt2img" | "img2img" | "inpaint" }>;

function pictureInvocation(invocation: Invocation): PictureInvocation {
  const { command } = invocation;
  if (command === "txt2img" || command === "img2img" || command === "inpaint") return invocation;
  throw new RangeError(`toArguments made the command ${command}`);
}

/** How files are read is the user's to say, not the picture's. */
function readerArguments({ maxHeader, quiet, verbose }: ReproduceOptions): string[] {
  return [
    ...(maxHeader === undefined ? [] : [`--max-header=${maxHeader}`]),
    ...(quiet ? ["--quiet"] : []),
    ...(verbose ? ["--verbose"] : []),
  ];
}

/** On the tier and in the precision that made it, as long as the user asks for no other and the adapter has them. */
async function make(
  request: PictureRequest,
  { made }: PictureRecipe,
  options: ReproduceOptions,
  context: CommandContext,
): Promise<SessionPicture> {
  const like: GpuOptions & typeof options = {
    ...options,
    tier: options.tier ?? tiers.find((tier) => tier === made?.tier),
    precision:
      options.precision !== "auto"
        ? options.precision
        : made?.precision === "f32" || made?.precision === "f16"
          ? made.precision
          : "auto",
  };
  try {
    return await makeOn(request, like, context);
  } catch (error) {
    const lacking = error instanceof AdapterError && (error.code === "TIER_UNSUPPORTED" || error.code === "F16_UNSUPPORTED");
    if (!lacking || (options.tier === like.tier && options.precision === like.precision)) throw error;
    new Progress(options).note(`it was made in ${made?.precision} on tier ${made?.tier}, which this adapter does not have`);
    return makeOn(request, options, context);
  }
}

async function makeOn(request: PictureRequest, options: ReproduceOptions, context: CommandContext): Promise<SessionPicture> {
  const session = new Session(options, context);
  try {
    return await session.make(request);
  } finally {
    await session.close();
  }
}

function record(picture: string, comparison: Comparison, request: PictureRequest, kept: string | undefined): unknown {
  const { recipe, files, old, new: now, difference: apart, tolerance, machine } = comparison;
  return {
    file: picture,
    same: isSame(comparison),
    identical: apart?.largest === 0,
    largest: apart?.largest ?? null,
    /** JSON has no infinity: null where nothing differs. */
    psnr: apart && Number.isFinite(apart.psnr) ? apart.psnr : null,
    beyond: apart?.beyond ?? null,
    tolerance,
    size: { old, new: now },
    source: recipe.source,
    generator: recipe.generator,
    made: recipe.made ?? null,
    machine,
    files,
    unknown: recipe.unknown,
    seed: request.options.seed,
    output: kept ?? null,
  };
}
