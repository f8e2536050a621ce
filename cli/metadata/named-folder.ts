/**
 * @file A folder with the networks that a prompt names, and no others: found files have any name and lie anywhere, and another file beside
 * them could bear a word of the prompt. Hard links where the file system allows, else copies.
 */
import { constants } from "node:fs";
import { copyFile, link, mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { FileSystemError } from "../../engine/errors.ts";
import { printable } from "../../model/checkpoint/printable.ts";

export interface NamedFile {
  /** As the prompt has it. */
  readonly name: string;
  readonly path: string;
}

export interface NamedFolder {
  readonly path: string;
  remove(): Promise<void>;
}

/** @throws FileSystemError REPRODUCE_NAME, REPRODUCE_FOLDER */
export async function namedFolder(files: readonly NamedFile[]): Promise<NamedFolder> {
  const path = await mkdtemp(join(await realpath(tmpdir()), "limn-reproduce-")).catch(unmade);
  const remove = () => rm(path, { recursive: true, force: true });
  try {
    for (const { name, path: from } of files) {
      const target = join(path, `${checkedName(name)}${extname(from)}`);
      await link(from, target).catch(() => copyFile(from, target, constants.COPYFILE_FICLONE).catch(unmade));
    }
    return { path, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The name comes from a stranger's file. */
function checkedName(name: string): string {
  if (/^[^/\\\0:]{1,200}$/.test(name) && !/^[.~]/.test(name)) return name;
  throw new FileSystemError("REPRODUCE_NAME", `${JSON.stringify(printable(name, 80))} is no name of a network's file`, {
    hint: "the picture's metadata is not to be trusted",
  });
}

function unmade(cause: unknown): never {
  throw new FileSystemError(
    "REPRODUCE_FOLDER",
    `${tmpdir()}: no folder for the picture's networks (${cause instanceof Error ? cause.message : cause})`,
    {
      hint: "point TMPDIR at a folder with space",
      cause,
    },
  );
}
