import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));

/** Who may import whom: a layer, or a folder or file of one; a layer may always import itself. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  tokenizer: [],
  engine: [],
  kernels: ["engine"],
  model: ["engine", "kernels", "tokenizer"],
  cli: ["engine", "kernels", "model", "tokenizer"],
  bench: ["engine", "kernels", "model", "tokenizer", "cli/terminal", "cli/syntax/numbers.ts", "cli/gpu/keep-awake.ts"],
};

/** Layers that may import `node:` modules and packages. The browser runs the others. */
const onNode = new Set(["cli", "bench"]);

interface Import {
  readonly file: string;
  readonly target: string;
}

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return filesOf(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

/** Static and dynamic imports and re-exports, types included. Comments are taken out first: they may quote code. */
function importsOf(file: string, text: string): Import[] {
  const code = text.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const patterns = [/\b(?:from|import)\s*["']([^"']+)["']/g, /\bimport\s*\(\s*["']([^"']+)["']/g];
  return patterns.flatMap((pattern) => [...code.matchAll(pattern)].map((match) => ({ file, target: match[1]! })));
}

/** What is wrong with an import, or undefined. */
function faultOf({ file, target }: Import): string | undefined {
  const layer = file.split("/")[0]!;
  if (!target.startsWith(".")) return onNode.has(layer) ? undefined : `${file} imports ${target}: only cli and bench may`;
  if (!target.endsWith(".ts")) return `${file} imports ${target} without its ending .ts`;
  const path = relative(root, join(root, dirname(file), target))
    .split(/[\\/]/)
    .join("/");
  const to = path.split("/")[0]!;
  if (to === layer || arrows[layer]?.some((arrow) => path === arrow || path.startsWith(`${arrow}/`))) return undefined;
  return `${file} imports ${target}: there is no arrow from ${layer} to ${to}`;
}

describe("architecture", () => {
  for (const layer of Object.keys(arrows)) {
    it(`${layer} imports nothing but ${["itself", ...arrows[layer]!].join(", ")}`, () => {
      const imports = filesOf(layer).flatMap((file) => importsOf(file, readFileSync(join(root, file), "utf8")));
      expect(imports.map(faultOf).filter((fault) => fault !== undefined)).toEqual([]);
    });
  }

  it("finds wrong arrows", () => {
    const wrong = [
      ["engine/a.ts", 'import { add } from "../kernels/add.ts";'],
      ["tokenizer/a.ts", 'export * from "../engine/index.ts";'],
      ["model/a.ts", 'const { run } = await import("../cli/main.ts");'],
      ["model/a.ts", 'import type { Buffer } from "node:buffer";'],
      ["kernels/add/a.ts", 'import { add } from "../other";'],
      ["bench/a.ts", 'import "../cli/main.ts";'],
      ["bench/a.ts", 'import { plan } from "../cli/terminals/a.ts";'],
    ] as const;
    for (const [file, code] of wrong)
      expect(importsOf(file, code).map(faultOf), `${file}: ${code}`).toEqual([expect.any(String)]);
  });

  it("accepts the house's arrows", () => {
    const right = [
      ["kernels/matmul/a.ts", 'import { Tensor } from "../../engine/index.ts";'],
      ["cli/a.ts", 'import { readFile } from "node:fs/promises"; import { create } from "webgpu";'],
      ["bench/a.ts", 'import { guardStdout } from "../cli/terminal/stdout.ts";'],
      ["model/a.ts", '// import x from "node:fs"\nimport { b } from "./b.ts";'],
    ] as const;
    for (const [file, code] of right) expect(importsOf(file, code).map(faultOf).filter(Boolean), `${file}: ${code}`).toEqual([]);
  });
});
