/** @file What the system's error numbers mean for somebody who wants to keep a picture. */
import { resolve } from "node:path";
import { FileSystemError, LimnError } from "../../engine/errors.ts";

interface Meaning {
  readonly code: string;
  readonly fact: string;
  readonly hint: string;
}

const full: Meaning = {
  code: "OUTPUT_FULL",
  fact: "there is no space left",
  hint: "free some space or write elsewhere with -o; the same seed makes the same picture",
};
const denied: Meaning = { code: "OUTPUT_DENIED", fact: "writing is not permitted there", hint: "choose another folder with -o" };
const name: Meaning = { code: "OUTPUT_NAME", fact: "the name is too long", hint: "choose a shorter name with -o" };
const folder: Meaning = {
  code: "OUTPUT_FOLDER",
  fact: "the folder is missing",
  hint: "make it first, or choose another with -o",
};

const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: full,
  EDQUOT: full,
  EFBIG: full,
  EACCES: denied,
  EPERM: denied,
  EROFS: { ...denied, fact: "the file system is read-only" },
  ENAMETOOLONG: name,
  ENOENT: folder,
  ENOTDIR: folder,
};

/** A FileSystemError that says what to do; errors that are already ours pass through. */
export function explainWriteFailure(path: string, error: unknown): LimnError {
  if (error instanceof LimnError) return error;
  const errno = error as NodeJS.ErrnoException;
  const meaning = meanings[errno.code ?? ""] ?? {
    code: "OUTPUT_WRITE",
    fact: `writing failed (${errno.code ?? errno.message})`,
    hint: "write elsewhere with -o; the same seed makes the same picture",
  };
  return new FileSystemError(meaning.code, `${path}: ${meaning.fact}`, {
    hint: meaning.hint,
    context: { path: resolve(path), errno: errno.code },
    cause: error,
  });
}
