/**
 * @file Where a picture goes. All that can be known is checked before the first step; then a file appears whole or not at all:
 * a temporary file in the same folder, flushed, then linked (fails if the name was taken meanwhile) or renamed over.
 */
import { constants, existsSync, lstatSync, readdirSync, realpathSync, rmSync, type Stats, statSync } from "node:fs";
import { type FileHandle, link, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileSystemError } from "../../engine/errors.ts";
import { explainWriteFailure } from "./write-failure.ts";

export interface OutputOptions {
  /** Replace an existing file. */
  readonly overwrite: boolean;
  /** Take the next free number instead of refusing where the name is taken: for names that limn made itself. */
  readonly numbered?: boolean;
  /** Models that the run reads: --overwrite is meant for pictures, and replaces none of them. */
  readonly models?: readonly (string | undefined)[];
}

/** A checked place for one file. */
export interface Output {
  /** The path asked for, as the user knows it. */
  readonly path: string;
  /** Where it leads, without links: two outputs with one target are the same file. */
  readonly target: string;
  /** Writes the file and returns the path it got. @throws FileSystemError as `prepareOutput` */
  write(bytes: Uint8Array): Promise<string>;
}

/** How often a pipe is asked whether it has a reader, or room. */
const pollMillis = 20;
const temporaryName = /^\.limn\.tmp-(\d+)-\d+$/;
/** Unfinished files of this process, removed when it leaves for whatever reason that lets it. */
const unfinished = new Set<string>();
let counter = 0;

process.on("exit", () => {
  for (const path of unfinished) rmSync(path, { force: true });
});

/**
 * Checks that `path` can be written, by making and removing a temporary file beside it.
 * @throws FileSystemError OUTPUT_EXISTS, OUTPUT_FOLDER, OUTPUT_IS_FOLDER, OUTPUT_NAME, OUTPUT_DENIED, OUTPUT_FULL, OUTPUT_WRITE
 */
export async function prepareOutput(path: string, options: OutputOptions): Promise<Output> {
  checkName(path);
  const found = statOf(path);
  if (found?.isDirectory()) {
    throw new FileSystemError("OUTPUT_IS_FOLDER", `${path} is a folder`, {
      hint: `add a file name: ${join(path, "picture.png")}`,
    });
  }
  // A device or pipe (/dev/null, a FIFO) is written into: there is nothing to replace.
  if (found && !found.isFile()) return { path, target: resolve(path), write: (bytes) => writeInto(path, bytes) };
  if (found && !options.overwrite && !options.numbered) throw alreadyExists(path);
  // Through a link the file it leads to is replaced, not the link.
  const target = found ? realpathSync(path) : path;
  if (found && options.models?.some((model) => model !== undefined && leadsTo(model, target))) {
    throw new FileSystemError("OUTPUT_EXISTS", `${path} is a model that this run reads`, {
      hint: "choose another name for the picture",
    });
  }
  const folder = dirname(resolve(target));
  checkFolder(path, folder);
  removeStale(folder);
  await rm(await writeTemporary(path, folder, new Uint8Array(0)));
  return {
    path,
    target: join(realpathSync(folder), basename(target)),
    write: (bytes) => writeWhole(path, target, bytes, options),
  };
}

function leadsTo(path: string, target: string): boolean {
  try {
    return realpathSync(path) === target;
  } catch {
    return false; // a web address, or missing: told of where it is opened
  }
}

async function writeWhole(path: string, target: string, bytes: Uint8Array, options: OutputOptions): Promise<string> {
  const temporary = await writeTemporary(path, dirname(resolve(target)), bytes);
  try {
    if (options.overwrite) {
      await rename(temporary, target);
      return path;
    }
    for (let number = 1; ; number++) {
      const candidate = number === 1 ? target : withNumber(target, number);
      if (await linkExclusively(temporary, candidate)) return number === 1 ? path : withNumber(path, number);
      if (!options.numbered) throw alreadyExists(path);
    }
  } catch (error) {
    throw explainWriteFailure(path, error);
  } finally {
    await rm(temporary, { force: true });
    unfinished.delete(temporary);
  }
}

/** Gives `temporary` its final name; false if that is taken. On file systems without hard links, a placeholder is claimed first. */
async function linkExclusively(temporary: string, target: string): Promise<boolean> {
  try {
    await link(temporary, target);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "EEXIST") return false;
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS" && code !== "EINVAL") throw error;
  }
  if (existsSync(target)) return false;
  await (await open(target, "wx")).close();
  await rename(temporary, target);
  return true;
}

/** A flushed temporary file with these bytes, its path in `unfinished`. */
async function writeTemporary(path: string, folder: string, bytes: Uint8Array): Promise<string> {
  const temporary = join(folder, `.limn.tmp-${process.pid}-${counter++}`);
  unfinished.add(temporary);
  try {
    const file = await open(temporary, "wx");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    return temporary;
  } catch (error) {
    await rm(temporary, { force: true });
    unfinished.delete(temporary);
    throw explainWriteFailure(path, error);
  }
}

/**
 * Never waits inside a system call, for a pipe's reader or for room in it: a thread that waits there would keep the process from leaving
 * on Ctrl-C.
 */
async function writeInto(path: string, bytes: Uint8Array): Promise<string> {
  try {
    const file = await openInto(path);
    try {
      for (let done = 0; done < bytes.length; ) {
        try {
          done += (await file.write(bytes, done)).bytesWritten;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
          await sleep(pollMillis);
        }
      }
    } finally {
      await file.close();
    }
    return path;
  } catch (error) {
    throw explainWriteFailure(path, error);
  }
}

/** Waits for a reader if it is a FIFO, as others do. */
async function openInto(path: string): Promise<FileHandle> {
  for (;;) {
    try {
      return await open(path, constants.O_WRONLY | constants.O_TRUNC | (constants.O_NONBLOCK ?? 0));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENXIO" || !statSync(path).isFIFO()) throw error;
      await sleep(pollMillis);
    }
  }
}

/** "fox.png", 2 -> "fox-2.png" */
export function withNumber(path: string, number: number): string {
  const match = /^(.*?)(\.[^./\\]+)?$/.exec(path);
  return `${match?.[1] ?? path}-${number}${match?.[2] ?? ""}`;
}

function checkName(path: string): void {
  if (path.includes("\0"))
    throw new FileSystemError("OUTPUT_NAME", "the output's name holds a NUL character", { hint: "choose another name" });
  const name = basename(path);
  if (process.platform === "win32" && (/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name) || /[<>:"|?*]/.test(name))) {
    throw new FileSystemError("OUTPUT_NAME", `${name} is no name for a file on Windows`, { hint: "choose another name" });
  }
}

function checkFolder(path: string, folder: string): void {
  const found = statOf(folder);
  if (!found) {
    throw new FileSystemError("OUTPUT_FOLDER", `${path}: the folder ${folder} does not exist`, {
      hint: `make it first: mkdir -p '${folder}'`,
    });
  }
  if (!found.isDirectory()) {
    throw new FileSystemError("OUTPUT_FOLDER", `${path}: ${folder} is a file, not a folder`, { hint: "choose another folder" });
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT" && isDanglingLink(path)) throw alreadyExists(path);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw explainWriteFailure(path, error);
  }
}

function isDanglingLink(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** Files that a killed run left: their process is gone. */
function removeStale(folder: string): void {
  try {
    for (const name of readdirSync(folder)) {
      const pid = Number(temporaryName.exec(name)?.[1] ?? 0);
      if (pid > 0 && pid !== process.pid && !isRunning(pid)) rmSync(join(folder, name), { force: true });
    }
  } catch {
    // A folder that may be written but not listed, or another's file: tidying up is no reason to fail.
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

function alreadyExists(path: string): FileSystemError {
  return new FileSystemError("OUTPUT_EXISTS", `${path} exists already`, {
    hint: "choose another name, or replace it with --overwrite",
    context: { path: resolve(path) },
  });
}
