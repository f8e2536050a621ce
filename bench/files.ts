/** @file Files that the bench's options name, looked at before anything is measured. */
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { FileSystemError, UsageError } from "../engine/index.ts";

/** A run that `--save` kept. @throws FileSystemError FS_NOT_FOUND, FS_NOT_A_FILE; UsageError INVALID_KEPT_RUN */
export function readKept(path: string): object {
  expectFile(path);
  const wrong = (fact: string): UsageError =>
    new UsageError("INVALID_KEPT_RUN", `${path}: ${fact}`, { hint: "name a file that --save wrote", context: { path } });
  let kept: unknown;
  try {
    kept = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw wrong(`this is no JSON (${error instanceof Error ? error.message : error})`);
  }
  if (typeof kept !== "object" || kept === null) throw wrong("this is no kept run");
  return kept;
}

/** @throws FileSystemError FS_NOT_FOUND, FS_NOT_A_FILE */
export function expectFile(path: string): void {
  if (!existsSync(path))
    throw new FileSystemError("FS_NOT_FOUND", `${path}: there is no such file`, { hint: `looked for ${resolve(path)}` });
  if (statSync(path).isDirectory())
    throw new FileSystemError("FS_NOT_A_FILE", `${path}: this is a folder, not a file`, { hint: "name a file in it" });
}

/** For what will be written when all is measured. @throws FileSystemError OUTPUT_FOLDER, OUTPUT_IS_FOLDER */
export function expectPlaceFor(path: string): void {
  const folder = dirname(resolve(path));
  if (!existsSync(folder))
    throw new FileSystemError("OUTPUT_FOLDER", `${path}: the folder ${folder} does not exist`, { hint: `mkdir -p '${folder}'` });
  if (existsSync(path) && statSync(path).isDirectory())
    throw new FileSystemError("OUTPUT_IS_FOLDER", `${path} is a folder`, { hint: "name a file in it" });
}
