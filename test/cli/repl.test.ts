import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { readPngTexts } from "../../cli/png/png.ts";
import { build, limn, temporaryFolder } from "./limn.ts";

const base = temporaryFolder();
const quick = ["-s", "1", "-W", "64", "-H", "64"];
let folders = 0;

function folder(): string {
  const path = join(base, String(folders++));
  mkdirSync(path);
  return path;
}

describe("limn repl", () => {
  beforeAll(build);

  it("makes a picture a line with one model, follows its commands, and goes on after errors", async () => {
    const at = folder();
    const lines = [
      "# a comment",
      "",
      ":again",
      ":seed 3",
      "a red fox",
      ":set steps 2",
      ":set stpes 3",
      ":set negative blue",
      ":again",
      ":model none.safetensors",
      ":unset negative",
      ":agian",
      ":cfg_scale 3",
      "--prompt a cat --seed 5 --cfg_scale 2",
      ":set tier f32",
      ":show",
      ":seed",
      ":quit",
      "never",
    ];
    const ran = await limn(["repl", ...quick], { cwd: at, input: lines.join("\n") });
    expect(ran.stdout.toString().split("\n")).toEqual([
      "a-red-fox-3.png  64x64, seed 3",
      "a-red-fox-3-2.png  64x64, seed 3",
      "a-cat-5.png  64x64, seed 5",
      "",
    ]);
    expect(readdirSync(at).sort()).toEqual(["a-cat-5.png", "a-red-fox-3-2.png", "a-red-fox-3.png"]);
    const text = (name: string) => readPngTexts(readFileSync(join(at, name))).get("parameters");
    expect(text("a-red-fox-3.png")).toMatch(/^a red fox\nSteps: 1, /);
    expect(text("a-red-fox-3-2.png")).toMatch(/^a red fox\nNegative prompt: blue\nSteps: 2, /);
    expect(text("a-cat-5.png")).toMatch(/^a cat\nSteps: 2, .*CFG scale: 2, Seed: 5,/);
    const codes = [...ran.stderr.matchAll(/^error\[(\w+)\]/gm)].map((match) => match[1]);
    expect(codes).toEqual([
      "NOTHING_BEFORE",
      "UNKNOWN_OPTION",
      "FS_NOT_FOUND",
      "UNKNOWN_COMMAND",
      "UNKNOWN_COMMAND",
      "RUN_OPTION",
    ]);
    expect(ran.stderr).toMatch(/did you mean --steps\?.*did you mean :again\?.*did you mean :set guidance 3\?/s);
    expect(ran.stderr).toMatch(
      /model {5}the small one that comes with limn\nset {7}seed 3\nset {7}steps 2\nlast {6}--prompt a cat --seed 5 --cfg_scale 2, seed 5\n5\n/,
    );
    // The first error's exit code: a script can tell.
    expect(ran.code).toBe(2);
  });

  it("gives a JSON object a picture, and the exit code 0 where all went well", async () => {
    const at = folder();
    const ran = await limn(["repl", ...quick, "--json"], {
      cwd: at,
      input: "a red fox\n:seed 18446744073709551615\n--count 1 --prompt a cat\n",
    });
    const rows = ran.stdout
      .toString()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.map(({ images }) => images.length)).toEqual([1, 1]);
    expect(typeof rows[0].images[0].seed).toBe("number");
    expect(rows[1].images[0]).toEqual({
      path: "a-cat-18446744073709551615.png",
      seed: "18446744073709551615",
      width: 64,
      height: 64,
    });
    expect(ran.code).toBe(0);
  });

  it("numbers the names that all its pictures would have, and leaves a line its own", async () => {
    const at = folder();
    writeFileSync(join(at, "x-2.png"), "mine");
    const lines = [
      "a red fox",
      "--count 2 --prompt a cat --save-latent cat.safetensors",
      "--prompt a dog -o dog.png",
      "--prompt a dog -o dog.png",
      ":set output /dev/null",
      "a red fox",
      ":set output .",
      "a red fox",
      ":set output none/y.png",
      "a red fox",
    ];
    const ran = await limn(["repl", ...quick, "--seed", "3", "-o", "x.png", "--save-latent", "x.safetensors"], {
      cwd: at,
      input: lines.join("\n"),
    });
    const codes = [...ran.stderr.matchAll(/^error\[(\w+)\]/gm)].map((match) => match[1]);
    expect(codes).toEqual(["OUTPUT_EXISTS", "OUTPUT_IS_FOLDER", "OUTPUT_FOLDER"]);
    const paths = [...ran.stdout.toString().matchAll(/^(\S+) /gm)].map((match) => match[1]);
    expect(paths).toEqual(["x-1.png", "x-3.png", "x-4.png", "dog.png", "/dev/null"]);
    expect(readFileSync(join(at, "x-2.png"), "utf8")).toBe("mine");
    const latents = readdirSync(at).filter((name) => name.endsWith(".safetensors"));
    expect(latents.sort()).toEqual(["cat-1", "cat-2", "x-1", "x-2", "x-3"].map((name) => `${name}.safetensors`));
    expect(ran.code).toBe(4);
  });

  it("stops a picture on Ctrl-C, and not itself (fault 64)", async () => {
    const at = folder();
    const ran = await limn(["repl", "-W", "64", "-H", "64", "--seed", "3"], {
      cwd: at,
      input: "--prompt a red fox --steps 1000\n--prompt a cat --steps 1\n",
      when: { text: "denoise ", act: (kill) => kill("SIGINT") },
    });
    expect(ran.stderr).toContain("stopped\n");
    expect([ran.code, readdirSync(at)]).toEqual([0, ["a-cat-3.png"]]);
  });

  it("ends on SIGTERM with 143 (fault 64)", async () => {
    const at = folder();
    const ran = await limn(["repl"], {
      cwd: at,
      input: "--prompt a red fox --steps 1000\na cat\n",
      when: { text: "denoise ", act: (kill) => kill("SIGTERM") },
    });
    expect([ran.code, readdirSync(at)]).toEqual([143, []]);
  });
});
