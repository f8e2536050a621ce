import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { skipped } from "../skip.ts";
import { build, main, temporaryFolder } from "./limn.ts";

const elsewhere = skipped("what drivers print", process.platform !== "linux" && "they are kept quiet on Linux only");

describe.skipIf(elsewhere)("what drivers print while they are looked for", () => {
  beforeAll(build);
  const folder = temporaryFolder();

  it.each([
    ["a file, with JSON on stdout", '2> "$0"', "--json"],
    ["a file that stdout shares", '> "$0" 2>&1', ""],
    ["a file that is appended to", '2>> "$0.added"; mv "$0.added" "$0"', ""],
    ["a pipe", '2>&1 | cat > "$0"', "--json"],
  ])("does not reach %s, and nobody's lines are lost", (_, redirection, more) => {
    const words = `"a red fox" -s 1 -W 64 -H 64 --seed 3 --overwrite -o "${join(folder, "fox.png")}" ${more}`;
    const script = `(echo before >&2; '${process.execPath}' '${main}' ${words}; echo $? >&2) ${redirection}`;
    const log = join(folder, "log");
    const ran = spawnSync("bash", ["-c", script, log], { encoding: "utf8" });
    expect(ran.status).toBe(0);
    const lines = readFileSync(log, "utf8").split("\n");
    const said = lines.filter((line) => line.trim() !== "");
    expect(said.at(0)).toBe("before");
    expect(said.at(-1)).toBe("0");
    expect(said.filter((line) => /^Warning: |^Error: |\0/.test(line))).toEqual([]);
    // On a machine with a GPU limn says nothing.
    if (said.length > 2) expect(said[1]).toMatch(/^(no GPU: |load |\{"images"|\S+fox\.png)/);
  });
});
