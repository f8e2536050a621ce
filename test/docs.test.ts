/** @file The pages name files, links, commands and exports that exist. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { parseArguments, TextWanted } from "../cli/syntax/arguments.ts";
import { LimnError } from "../engine/errors.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const list = (folder: string) => readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });

const pages = [
  "README.md",
  "checkpoints/README.md",
  ...list("docs").flatMap((name) => (name.endsWith(".md") ? [`docs/${name}`] : [])),
];
const folders = ["engine", "kernels", "model", "tokenizer", "cli", "bench", "test", "scripts", "docs", "checkpoints"];
const paths = folders.flatMap((folder) => [folder, ...list(folder).map((name) => `${folder}/${name.replaceAll("\\", "/")}`)]);

/** Between backticks on one line. */
const quoted = (text: string) => [...text.matchAll(/`([^`\n]+)`/g)].map((match) => match[1]!);

/** Sources and folders of the project, by their whole path or by the end of it. */
function filesNamed(text: string): string[] {
  return quoted(text).filter((word) => /^[\w.-]+(\/[\w.-]+)*(\.(ts|mjs|sh|wgsl)|\/)$/.test(word) && !word.includes("NAME"));
}

function exists(name: string): boolean {
  const path = name.replace(/\/$/, "");
  return paths.some((known) => known === path || known.endsWith(`/${path}`));
}

/** `limn ...` in backticks, and in blocks of code up to the words that explain it. */
function commandsIn(text: string): string[] {
  const blocks = [...text.matchAll(/^```(?:sh)?\n([\s\S]*?)^```/gm)].map((match) => match[1]!.replaceAll(/\\\n\s*/g, " "));
  const lines = blocks.flatMap((block) => block.split("\n").map((line) => line.replace(/(?<=\S) {2,}\S.*$/, "")));
  return [...lines, ...quoted(text)].flatMap((line) => /^(?:limn|npm start --) (.+)$/.exec(line.trim())?.[1] ?? []);
}

/** Words as a shell parts them; what may be left out, in brackets, is left out. */
function wordsOf(command: string): string[] {
  const plain = command.replaceAll(/ \[[^\]"]*\]| <.*$| > .*$| #.*$/g, "").replaceAll(/\bf32\|f16\b/g, "f32");
  return [...plain.matchAll(/"([^"]*)"|(\S+)/g)].map(([, text, word]) => text ?? word!);
}

describe.each(pages)("%s", (page) => {
  const text = read(page);

  it("names files that are there", () => {
    expect(filesNamed(text).filter((name) => !exists(name))).toEqual([]);
  });

  it("has links that lead somewhere", () => {
    const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1]!);
    expect(targets.filter((target) => !existsSync(join(root, dirname(page), target)))).toEqual([]);
  });

  it("shows commands that limn takes", () => {
    const refused = commandsIn(text).flatMap((command) => {
      if (/COMMAND|\.\.\./.test(command)) return [];
      try {
        parseArguments(wordsOf(command), "0.0.0");
        return [];
      } catch (error) {
        // A command may be named without all that it needs.
        if (error instanceof TextWanted || (error instanceof LimnError && error.code === "MISSING_ARGUMENT")) return [];
        return [`${command}: ${error instanceof Error ? error.message : error}`];
      }
    });
    expect(refused).toEqual([]);
  });

  it("names scripts of npm that are there", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Readonly<Record<string, string>> };
    const named = [...text.matchAll(/npm run ([\w-]+)/g)].map((match) => match[1]!);
    expect(named.filter((name) => !(name in scripts))).toEqual([]);
  });

  it("imports what the library exports", () => {
    const exported = read("model/index.ts");
    const named = [...text.matchAll(/import \{ ([^}]+) \} from "limn"/g)].flatMap((match) => match[1]!.split(", "));
    expect(named.filter((name) => !new RegExp(`\\b${name}\\b`).test(exported))).toEqual([]);
  });
});

describe("these tests", () => {
  it("find what is not there", () => {
    expect(filesNamed("`model/none.ts`, `kernels/conv2d/` and `naive/`").filter((name) => !exists(name))).toEqual([
      "model/none.ts",
      "naive/",
    ]);
    expect(commandsIn("`limn plan -W 8`\n```\nlimn info A [--raw]    what it says\n```\n")).toEqual([
      "info A [--raw]",
      "plan -W 8",
    ]);
    expect(wordsOf('grid "a fox" --x steps=1,2 [--json]')).toEqual(["grid", "a fox", "--x", "steps=1,2"]);
  });
});
