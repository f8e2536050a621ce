import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Makes a folder and those above it, as `mkdir -p`; one that is there will do. Node's `recursive` never returns where a file system says
 * ENOENT because nothing can be made in it (/proc, an automounter's folder). Throws the system's error, EEXIST for a file in its place.
 */
export async function makeFolders(path: string): Promise<void> {
  const failure = await failureOf(path);
  if (failure?.code !== "ENOENT") return throwUnlessFolder(path, failure);
  const above = dirname(path);
  if (above === path) throw failure;
  await makeFolders(above);
  await throwUnlessFolder(path, await failureOf(path));
}

async function failureOf(path: string): Promise<NodeJS.ErrnoException | undefined> {
  return mkdir(path).then(
    () => undefined,
    (error) => error,
  );
}

async function throwUnlessFolder(path: string, failure: NodeJS.ErrnoException | undefined): Promise<void> {
  if (!failure) return;
  const isFolder = await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (!isFolder) throw failure;
}
