/** @file Where the package lies. */
import { existsSync } from "node:fs";

/** The folder that holds package.json, seen from this module whether it is a file of its own or part of the built command. */
export const packageRoot: URL = folderWithManifest(new URL(".", import.meta.url));

function folderWithManifest(folder: URL): URL {
  const parent = new URL("..", folder);
  return existsSync(new URL("package.json", folder)) || parent.href === folder.href ? folder : folderWithManifest(parent);
}
