/** @file The version of this package, from its manifest. */
import { readFileSync } from "node:fs";
import { packageRoot } from "./package-root.ts";

const manifest: unknown = JSON.parse(readFileSync(new URL("package.json", packageRoot), "utf8"));

export const packageVersion: string =
  typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
