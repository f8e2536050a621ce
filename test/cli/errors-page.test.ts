import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import * as library from "../../model/index.ts";
import { root } from "./limn.ts";

/** Not codes of ours: variables and fields of the system, a tunable, the beginning of several codes. */
const foreign = /^(F8_|VK_|XDG_|CUDA_|MESA_|ERR_|ID_LIKE$|VERSION_ID$|PRETTY_NAME$|WORKGROUP_SIZE$|ST_HEADER$)/;
function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return sources(path);
    return path.endsWith(".ts") ? [path] : [];
  });
}

/** Of options with a number, a size or one of a few values: their code is made from their name. */
function codesOfOptions(): string[] {
  return sources("cli/syntax").flatMap((path) => {
    const text = readFileSync(join(root, path), "utf8");
    const found = [
      ...text.matchAll(/(?:number|choice)\(\s*"(?:[^"]* )?--([\w-]+) </g),
      ...text.matchAll(/"--([\w-]+) <\w+>",\s*"[^"]*",?\s*\)\.argParser\(parse\w+\)/g),
      ...text.matchAll(/(?:parseSize|pictureSide)\(\s*"([\w-]+)"/g),
    ];
    return found.map(([, option]) => `INVALID_${option!.toUpperCase().replaceAll("-", "_")}`);
  });
}

/** Words in capitals with an underscore between quotes, and single words where an error is made. */
function codesInSources(): Set<string> {
  const codes = new Set(["INTERNAL", ...codesOfOptions()]);
  for (const path of ["engine", "kernels", "model", "tokenizer", "cli"].flatMap(sources)) {
    const text = readFileSync(join(root, path), "utf8");
    const found = [
      ...text.matchAll(/"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"/g),
      ...text.matchAll(/(?:Error|super)\(\s*"([A-Z][A-Z0-9]+)",/g),
    ];
    for (const [, code] of found) if (!foreign.test(code!)) codes.add(code!);
  }
  return codes;
}

describe("docs/errors.md", () => {
  const page = readFileSync(join(root, "docs", "errors.md"), "utf8");
  const rows = page.split("\n").filter((line) => /^\| `[A-Z]/.test(line));
  const documented = rows.flatMap((row) => [...row.split("|")[1]!.matchAll(/`([A-Z0-9_]+)`/g)].map((match) => match[1]!));

  it("has every code of the sources, and no other", () => {
    expect([...documented].sort()).toEqual([...codesInSources()].sort());
  });

  it("names classes that the library exports", () => {
    const [table = ""] = /^\| Exit code[\s\S]*?^$/m.exec(page) ?? [];
    const classes = [...table.matchAll(/`(\w+Error)`/g)].map((match) => match[1]!);
    expect(classes.length).toBeGreaterThan(10);
    expect(classes.filter((name) => !(name in library))).toEqual([]);
  });

  it("has each code under the exit code of the class that it is thrown as", () => {
    const exitCodes = new Map(
      [...page.matchAll(/^\| (\d+) \|.*\| (`.*`) \|$/gm)].flatMap(([, exit, names]) =>
        [...names!.matchAll(/`(\w+)`/g)].map(([, name]) => [name!, Number(exit)] as const),
      ),
    );
    const sections = page.split(/^## /m).slice(1);
    const exitOf = (code: string) => Number(/\((\d+)\)/.exec(sections.find((text) => text.includes(`\`${code}\``)) ?? "")?.[1]);
    const thrown = ["engine", "kernels", "model", "tokenizer", "cli"].flatMap(sources).flatMap((path) => {
      const text = readFileSync(join(root, path), "utf8");
      return [...text.matchAll(/new (\w+Error)\(\s*"([A-Z][A-Z0-9_]+)"/g)].map(([, name, code]) => ({
        path,
        name: name!,
        code: code!,
      }));
    });
    expect(thrown.length).toBeGreaterThan(200);
    // A PromptError, of the tokenizer that knows no errors of the engine, becomes a UsageError.
    const wrong = thrown.filter(({ name, code }) => exitOf(code) !== exitCodes.get(name === "PromptError" ? "UsageError" : name));
    expect(wrong).toEqual([]);
  });

  it("has the codes that doc comments promise", () => {
    const promised = ["engine", "kernels", "model", "tokenizer", "cli"].flatMap(sources).flatMap((path) => {
      const comments = readFileSync(join(root, path), "utf8").match(/@throws(?:(?!\*\/)[\s\S])*\*\//g) ?? [];
      return comments.flatMap((comment) => comment.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? []);
    });
    expect(promised.length).toBeGreaterThan(200);
    expect(promised.filter((code) => !documented.includes(code))).toEqual([]);
  });

  it("has each code once, with a cause and a cure", () => {
    expect(documented.length).toBe(new Set(documented).size);
    for (const row of rows) {
      const [, , cause, cure] = row.split("|").map((cell) => cell.trim());
      expect(
        [row, cause?.length, cure?.length].slice(1).every((length) => Number(length) > 5),
        row,
      ).toBe(true);
    }
  });
});
