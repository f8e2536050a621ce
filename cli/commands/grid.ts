/** @file `limn grid`: many pictures that differ in one to three options, on one sheet with labels. */
import { readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { FileSystemError } from "../../engine/errors.ts";
import type { Raster } from "../../model/image/index.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { makeFolders } from "../files/make-folders.ts";
import { type Output, prepareOutput } from "../files/output.ts";
import { explainWriteFailure } from "../files/write-failure.ts";
import { type Axis, parseAxis } from "../grid/axis.ts";
import { type Axes, type Cell, CellKeys, cellKeyword, cellsOf, keptCells } from "../grid/cells.ts";
import { drawSheet, layOut, shrunkSize, shrunkTo } from "../grid/sheet.ts";
import { gridTexts } from "../grid/texts.ts";
import { checkPicture } from "../pictures/check-picture.ts";
import { InitReader } from "../pictures/init.ts";
import { readNoise } from "../pictures/latent-file.ts";
import { pictureFile } from "../pictures/picture-file.ts";
import { slug } from "../pictures/picture-name.ts";
import { modelsOf, OwnFiles, refuseTerminal } from "../pictures/places.ts";
import { Session } from "../pictures/session.ts";
import { withStyles } from "../pictures/styles.ts";
import { type MadePicture, summaryJson, summaryText } from "../pictures/summary.ts";
import { decodePng, encodePng, readPngTexts } from "../png/png.ts";
import type { CommandContext, GridOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** A cell's picture, and the texts of its file. */
interface MadeCell {
  readonly cell: Cell;
  readonly raster: Raster;
  readonly texts: ReadonlyMap<string, string>;
}

/** @throws LimnError of every class; the signal's reason when it is aborted */
export async function run(asked: GridOptions, context: CommandContext): Promise<void> {
  const folder = asked.cells ?? unfinishedFolder(asked);
  const options = { ...asked, cells: folder };
  const { picture } = options;
  const axes = axesOf(options);
  const place = await sheetPlace(options);
  const kept = folder === undefined ? new Map<string, string>() : await keptCells(folder);
  const keys = new CellKeys();
  const seed = await seedOf(options, axes, keys, kept);
  const cells = await styledCells(options, axes, seed);
  const session = new Session(picture, context);
  try {
    const tokenizer = new ClipTokenizer();
    for (const cell of cells) checkPicture(cell.options, tokenizer);
    for (const cell of cells) await session.expect(cell.options);
    if (folder !== undefined) await makeFolder(folder);
    const made = await makeCells(session, cells, { options, axes, keys, kept });
    const images = [await keepSheet(options, axes, made, place, seed)];
    if (folder !== undefined && asked.cells === undefined) await rm(folder, { recursive: true, force: true });
    const summary = session.summary(images);
    if (options.json) await writeStdout(summaryJson(summary));
    else if (place) await writeStdout(summaryText(summary));
  } catch (error) {
    if (context.signal.aborted)
      session.progress.note(
        folder === undefined
          ? "nothing is kept; with --cells FOLDER the same command would go on from there"
          : `the pictures so far are in ${folder}: the same command goes on from there`,
      );
    throw error;
  } finally {
    await session.close();
    // Stopped before its first picture: nothing is left behind.
    if (folder !== undefined && asked.cells === undefined) await rmdir(folder).catch(() => undefined);
  }
}

/** Where the pictures wait for the sheet, so that the same command can go on after an interruption; undefined where it goes to stdout. */
function unfinishedFolder({ picture, output }: GridOptions): string | undefined {
  return output === "-" ? undefined : `${output ?? sheetName(picture.prompt)}.cells`;
}

function sheetName(prompt: string): string {
  return `${slug(prompt)}-grid.png`;
}

interface Run {
  readonly options: GridOptions;
  readonly axes: Axes;
  readonly keys: CellKeys;
  /** Where the pictures of the folder are, by key. */
  readonly kept: ReadonlyMap<string, string>;
}

/** Every cell, made or found. */
async function makeCells(session: Session, cells: readonly Cell[], { options, axes, keys, kept }: Run): Promise<MadeCell[]> {
  const { cells: folder, cellSize = Number.POSITIVE_INFINITY } = options;
  const made: MadeCell[] = [];
  const inits = new InitReader();
  let found = 0;
  for (const cell of cells) {
    const key = await keys.of(cell.options);
    const path = kept.get(key);
    let one = path === undefined ? undefined : await readCell(path, cell);
    if (one) found++;
    else {
      session.progress.note(`${made.length + 1} of ${cells.length}: ${cell.labels.join(", ")}`);
      const { noise } = cell.options;
      const request = {
        options: cell.options,
        init: await inits.read(cell.options),
        noise: noise === undefined ? undefined : await readNoise(noise),
      };
      const png = pictureFile(await session.make(request), { [cellKeyword]: key });
      if (folder !== undefined) await (await cellPlace(folder, cell)).write(png);
      one = cellOf(cell, png);
    }
    // A grid that is too large shows here, before the others are waited for.
    if (made.length === 0) layOut(labelsOf(axes), shrunkSize(one.raster, cellSize));
    made.push({ ...one, raster: shrunkTo(one.raster, cellSize) });
  }
  if (found > 0) session.progress.note(`${found} of ${cells.length} pictures were in ${folder} already`);
  return made;
}

/** Undefined: stdout. */
async function sheetPlace({ picture, output }: GridOptions): Promise<Output | undefined> {
  if (output === "-") refuseTerminal();
  const { overwrite, preview, prompt } = picture;
  const models = modelsOf(picture);
  const numbered = output === undefined;
  const place = output === "-" ? undefined : await prepareOutput(output ?? sheetName(prompt), { overwrite, numbered, models });
  const files = new OwnFiles();
  files.claim("--output", place);
  await files.claimPreview(preview, models);
  return place;
}

function axesOf({ axes: { x, y, z } }: GridOptions): Axes {
  const none: Axis = { name: "", text: "", cost: 0, values: [{ label: "", apply: (cell) => cell }] };
  return [
    x === undefined ? none : parseAxis("x", x),
    y === undefined ? none : parseAxis("y", y),
    z === undefined ? none : parseAxis("z", z),
  ];
}

/** Where no seed was asked for, that of a run that was interrupted; else the one just drawn. */
async function seedOf(options: GridOptions, axes: Axes, keys: CellKeys, kept: ReadonlyMap<string, string>): Promise<bigint> {
  const { seed } = options.picture;
  if (options.seeded || kept.size === 0) return seed;
  const seeds = new Set<bigint>();
  for (const path of kept.values()) {
    const found = /\bSeed: (\d{1,20})\b/.exec(readPngTexts(await readFile(path)).get("parameters") ?? "")?.[1];
    if (found !== undefined) seeds.add(BigInt(found));
  }
  for (const candidate of seeds) {
    for (const cell of await styledCells(options, axes, candidate)) if (kept.has(await keys.of(cell.options))) return candidate;
  }
  return seed;
}

async function styledCells(options: GridOptions, axes: Axes, seed: bigint): Promise<Cell[]> {
  const cells = cellsOf(options, axes, seed);
  return Promise.all(cells.map(async (cell) => ({ ...cell, options: await withStyles(cell.options) })));
}

function labelsOf([x, y, z]: Axes) {
  const labels = (axis: Axis) => axis.values.map(({ label }) => label);
  return { x: labels(x), y: labels(y), z: labels(z) };
}

async function keepSheet(
  options: GridOptions,
  axes: Axes,
  made: readonly MadeCell[],
  place: Output | undefined,
  seed: bigint,
): Promise<MadePicture> {
  const byPlace = [...made].sort((a, b) => a.cell.place - b.cell.place);
  const [width, height] = [
    Math.max(...made.map(({ raster }) => raster.width)),
    Math.max(...made.map(({ raster }) => raster.height)),
  ];
  const sheet = drawSheet(
    layOut(labelsOf(axes), { width, height }),
    byPlace.map(({ raster }) => raster),
  );
  const png = encodePng(sheet, gridTexts(axes, options, byPlace[0]!.texts));
  const path = (await place?.write(png)) ?? "-";
  if (!place) await writeStdout(png);
  return { path, seed, width: sheet.width, height: sheet.height };
}

/** Undefined where the file is damaged: then the cell is made again. */
async function readCell(path: string, cell: Cell): Promise<MadeCell | undefined> {
  try {
    return cellOf(cell, await readFile(path));
  } catch {
    return undefined;
  }
}

function cellOf(cell: Cell, png: Buffer): MadeCell {
  const { width, height, data, texts } = decodePng(png);
  return { cell, raster: { width, height, channels: 4, data }, texts };
}

function cellPlace(folder: string, { place, labels }: Cell): Promise<Output> {
  const name = `${String(place + 1).padStart(4, "0")}-${slug(labels.join(" "))}.png`;
  return prepareOutput(join(folder, name), { overwrite: false, numbered: true });
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await makeFolders(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      throw new FileSystemError("OUTPUT_FOLDER", `--cells: ${folder} is a file, not a folder`, { hint: "choose another folder" });
    }
    throw explainWriteFailure(folder, error);
  }
}
