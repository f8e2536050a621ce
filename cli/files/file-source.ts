/** @file A file on disk as a source of bytes: regular files only, read by range, checked for change. */
import { constants } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { FileSystemError, ModelFileError } from "../../engine/errors.ts";
import { type ByteSource, checkRange } from "../../model/checkpoint/byte-source.ts";
import { printable } from "../../model/checkpoint/printable.ts";

/** What `fstat` says that a change of the file would alter. */
interface Stamp {
  readonly size: number;
  readonly mtimeNs: bigint;
  readonly ino: bigint;
}

export class FileSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #handle: FileHandle;
  readonly #stamp: Stamp;
  readonly #beside: FileSource[] = [];

  constructor(path: string, handle: FileHandle, stamp: Stamp) {
    this.name = path;
    this.size = stamp.size;
    this.#handle = handle;
    this.#stamp = stamp;
  }

  /** One range; files above 4 GiB work, as no range comes near Node's limit for one buffer. */
  async read(begin: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(this, begin, end);
    const bytes = into?.subarray(0, end - begin) ?? Buffer.allocUnsafeSlow(end - begin);
    let done = 0;
    while (done < bytes.length) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, begin + done);
      if (bytesRead === 0) {
        throw new ModelFileError(
          "CHECKPOINT_CHANGED",
          `${this.name}: the file became shorter while it was read (${this.size} bytes)`,
          {
            hint: "wait until its download or conversion has ended, then run again",
            context: { file: this.name, byte: begin + done },
          },
        );
      }
      done += bytesRead;
    }
    return bytes;
  }

  async unchanged(): Promise<boolean> {
    const now = await stampOf(this.#handle);
    return now.size === this.#stamp.size && now.mtimeNs === this.#stamp.mtimeNs && now.ino === this.#stamp.ino;
  }

  async beside(name: string): Promise<ByteSource> {
    const source = await openFile(join(dirname(this.name), name));
    this.#beside.push(source);
    return source;
  }

  async close(): Promise<void> {
    await this.#handle.close();
    for (const source of this.#beside) await source.close();
  }
}

/**
 * Opens a regular file.
 * @throws FileSystemError FS_NOT_FOUND (with near names in its folder), FS_NOT_A_FILE, FS_PERMISSION, FS_SYMLINK_LOOP, FS_READ
 */
export async function openFile(path: string): Promise<FileSource> {
  // resolve() would make the current folder of it.
  if (path === "") throw new FileSystemError("FS_NOT_FOUND", "the path of a file is empty", { hint: "name the file" });
  const absolute = resolve(path);
  let handle: FileHandle | undefined;
  try {
    // Asked first: opening some devices has effects. Asked again of the handle: the name may have changed hands.
    await expectRegular(absolute, await stat(absolute));
    handle = await open(absolute, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)); // a FIFO would block
    await expectRegular(absolute, await handle.stat());
    return new FileSource(path, handle, await stampOf(handle));
  } catch (cause) {
    await handle?.close();
    throw cause instanceof FileSystemError ? cause : await explain(absolute, cause);
  }
}

async function stampOf(handle: FileHandle): Promise<Stamp> {
  const { size, mtimeNs, ino } = await handle.stat({ bigint: true });
  return { size: Number(size), mtimeNs, ino };
}

interface Kind {
  isFile(): boolean;
  isDirectory(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
}

async function expectRegular(path: string, kind: Kind): Promise<void> {
  if (kind.isFile()) return;
  const what = kind.isDirectory() ? "a directory" : kind.isFIFO() ? "a named pipe" : kind.isSocket() ? "a socket" : "a device";
  throw new FileSystemError("FS_NOT_A_FILE", `${printable(path, 4096)}: this is ${what}, not a file`, {
    hint: kind.isDirectory()
      ? await directoryHint(path)
      : "pass a regular file: it is read in several places, not from start to end",
    context: { path },
  });
}

async function directoryHint(path: string): Promise<string> {
  const names = await readdir(path).catch((): string[] => []);
  const models = names.filter((name) => /\.(safetensors|ckpt)$/.test(name)).slice(0, 3);
  return models.length === 0
    ? "pass a .safetensors file"
    : `pass a file in it: ${models.map((name) => printable(name)).join(", ")}`;
}

async function explain(path: string, cause: unknown): Promise<FileSystemError> {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const [own, fact, hint] = reasons[code] ?? [
    "FS_READ",
    cause instanceof Error ? cause.message : String(cause),
    "check the file and its disk",
  ];
  const near = own === "FS_NOT_FOUND" ? await nearNames(path) : [];
  return new FileSystemError(own, `${printable(path, 4096)}: ${fact}`, {
    hint: near.length === 0 ? hint : `did you mean ${near.map((name) => printable(name)).join(" or ")}?`,
    context: { path, near },
    cause,
  });
}

const reasons: Readonly<Record<string, readonly [string, string, string]>> = {
  ENOENT: ["FS_NOT_FOUND", "no such file", "check the path"],
  ENOTDIR: ["FS_NOT_FOUND", "part of the path is a file, not a folder", "check the path"],
  EACCES: ["FS_PERMISSION", "no permission to read it", "check the permissions of the file and its folders"],
  EPERM: ["FS_PERMISSION", "no permission to read it", "check the permissions of the file and its folders"],
  ELOOP: ["FS_SYMLINK_LOOP", "its symbolic links lead round in a circle", "pass the file itself"],
  ENAMETOOLONG: ["FS_NOT_FOUND", "the name is longer than the file system allows", "check the path"],
  ERR_INVALID_ARG_VALUE: ["FS_NOT_FOUND", "a path may not hold a NUL character", "check the path"],
};

/** Up to three names in the folder of `path` that are a few keystrokes from its own; its own is there too where it is a link that leads nowhere. */
async function nearNames(path: string): Promise<string[]> {
  const wanted = basename(path).toLowerCase();
  const folder = dirname(path);
  const names = await readdir(folder).catch((): string[] => []);
  const limit = Math.max(2, Math.floor(wanted.length / 4));
  return names
    .slice(0, 10_000)
    .map((name) => ({ name, distance: editDistance(wanted, name.toLowerCase(), limit) }))
    .filter(({ name, distance }) => distance <= limit && name !== basename(path))
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ name }) => join(folder, name));
}

/** Levenshtein's distance; `limit + 1` for anything above `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? limit + 1;
}
