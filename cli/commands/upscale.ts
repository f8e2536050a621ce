/** @file `limn upscale`: a picture made larger, by a network or by resampling. */
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { isatty } from "node:tty";
import { ImageError, UsageError } from "../../engine/errors.ts";
import type { Raster, Size } from "../../model/image/index.ts";
import { enlarge, pixelUpscalers, plainUpscaler } from "../../model/upscale/index.ts";
import { openFile } from "../files/file-source.ts";
import { prepareOutput } from "../files/output.ts";
import { openDevice } from "../gpu/device.ts";
import { kindOf } from "../image/kind.ts";
import { readImage } from "../image/read-image.ts";
import { UpscalerLibrary, upscalerLabel } from "../pictures/hires.ts";
import { encodePng, maxPngPixels, maxPngSide, readPngTexts } from "../png/png.ts";
import type { CommandContext, UpscaleOptions } from "../syntax/options.ts";
import { Progress } from "../terminal/progress.ts";
import { writeStdout } from "../terminal/stdout.ts";

const defaultScale = 2;

interface Made {
  readonly picture: Raster;
  /** As the metadata names it. */
  readonly upscaler: string;
  readonly scale: number;
}

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(options: UpscaleOptions, context: CommandContext): Promise<void> {
  const start = performance.now();
  const progress = new Progress(options);
  if (options.output === "-" && isatty(1)) {
    throw new UsageError("STDOUT_IS_TERMINAL", "--output -: stdout is a terminal, which can't show a PNG", {
      hint: "send it on (limn upscale ... -o - > large.png), or give a file name",
    });
  }
  const { background, overwrite, output } = options;
  if (output !== undefined && output !== "-") await prepareOutput(output, { overwrite, models: [options.model] });
  const picture = await readImage(options.picture, { background, note: (text) => progress.note(text) });
  const made = await (options.model === undefined
    ? resampled(picture, options)
    : enlarged(picture, options.model, options, context, progress));
  const { width, height, data } = made.picture;
  const name = output ?? `${basename(options.picture).replace(/\.[^.]+$/, "")}-${width}x${height}.png`;
  const place =
    name === "-" ? undefined : await prepareOutput(name, { overwrite, numbered: output === undefined, models: [options.model] });
  const png = encodePng({ width, height, data }, { ...(await textsOf(options.picture)), postprocessing: postprocessing(made) });
  const path = (await place?.write(png)) ?? "-";
  if (!place) await writeStdout(png);
  const seconds = (performance.now() - start) / 1000;
  const { upscaler, scale } = made;
  if (options.json) await writeStdout(`${JSON.stringify({ path, width, height, upscaler, scale, seconds })}\n`);
  else if (place) await writeStdout(`${path}  ${width}x${height}, ${upscaler}, ${seconds.toFixed(1)} s\n`);
}

async function resampled(picture: Raster, { upscaler, scale = defaultScale }: UpscaleOptions): Promise<Made> {
  const made = await enlarge(picture, sizeOf(picture, scale), plainUpscaler(upscaler));
  return { picture: made, upscaler: pixelUpscalers[upscaler], scale };
}

async function enlarged(
  picture: Raster,
  model: string,
  options: UpscaleOptions,
  { signal }: CommandContext,
  progress: Progress,
): Promise<Made> {
  await (await openFile(model)).close(); // says at once where there is none
  const opened = await openDevice(options);
  const library = new UpscalerLibrary();
  try {
    if (opened.software) progress.note(`no GPU: the CPU does the work (${opened.adapter})`);
    progress.stage("load");
    const network = await library.load(model, opened.device, signal);
    progress.end(`${opened.adapter}; x${network.scale}`);
    const scale = options.scale ?? network.scale;
    const size = sizeOf(picture, scale);
    progress.stage("upscale");
    const onTile = (done: number, total: number) => progress.step(done, total);
    const tiles = { tile: options.tile, overlap: options.tileOverlap, onTile, signal };
    const name = upscalerLabel({ upscaler: model });
    const made = await enlarge(picture, size, { name, upscale: (one) => network.upscale(one, tiles) });
    progress.end();
    opened.device.check();
    return { picture: made, upscaler: name, scale };
  } catch (error) {
    throw signal.aborted ? error : await opened.device.causeOf(error);
  } finally {
    progress.clear();
    library.free();
    opened.close();
  }
}

/** @throws ImageError IMAGE_SIZE where the result would be larger than limn reads again */
function sizeOf(picture: Size, scale: number): Size {
  const [width, height] = [Math.round(picture.width * scale), Math.round(picture.height * scale)];
  if (Math.max(width, height) <= maxPngSide && width * height <= maxPngPixels) return { width, height };
  throw new ImageError(
    "IMAGE_SIZE",
    `${picture.width}x${picture.height} times ${scale} is ${width}x${height}: too large for limn`,
    {
      hint: `sides may have ${maxPngSide} pixels and a picture ${maxPngPixels}: take a smaller --scale`,
      context: { width, height, scale },
    },
  );
}

/** What the picture says of itself; a PNG's texts go on with it. */
async function textsOf(path: string): Promise<Record<string, string>> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  return kindOf(bytes)?.reader === "png" ? Object.fromEntries(readPngTexts(bytes)) : {};
}

/** As the web UI's Extras tab writes it (modules/postprocessing.py). */
function postprocessing({ upscaler, scale }: Made): string {
  return `Postprocess upscale by: ${scale}, Postprocess upscaler: ${/[,:]/.test(upscaler) ? JSON.stringify(upscaler) : upscaler}`;
}
