/** @file What stands after `-m` and `--vae`: a file, a folder, or an address on the web. */
import { stat } from "node:fs/promises";
import type { ModelSource } from "../../model/checkpoint/byte-folder.ts";
import { openUrl } from "../../model/checkpoint/url-source.ts";
import { openFile } from "../files/file-source.ts";
import { openFolder } from "../files/folder-source.ts";

export type OpenModelSource = ModelSource & { close(): Promise<void> };

/** @throws FileSystemError those of `openFile`; NetworkError those of `openUrl` */
export async function openModelSource(place: string, signal?: AbortSignal): Promise<OpenModelSource> {
  if (/^https?:\/\//i.test(place)) return openUrl(place, signal);
  const isFolder = await stat(place).then(
    (found) => found.isDirectory(),
    () => false, // openFile says why
  );
  return isFolder ? openFolder(place).catch(() => openFile(place)) : openFile(place);
}
