import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng, readPngTexts } from "../../cli/png/png.ts";
import { build, errorLines, limn, main, root, temporaryFolder } from "./limn.ts";

const base = temporaryFolder();
let folders = 0;

function folder(): string {
  const path = join(base, String(folders++));
  mkdirSync(path);
  return path;
}

/** The smallest picture that shows whether the command works: what it shows is tested elsewhere. */
const quick = ["a red fox", "--seed", "3", "--steps", "1", "-W", "64", "-H", "64"];

describe("limn", () => {
  beforeAll(build);

  it("prints usage on stderr and exits 2 without arguments", async () => {
    const ran = await limn([]);
    expect([ran.code, ran.stdout.length]).toEqual([2, 0]);
    expect(ran.stderr).toContain('Usage: limn "PROMPT"');
  });

  it("prints version and help on stdout", async () => {
    const [version, help] = await Promise.all([limn(["--version"]), limn(["--help"])]);
    expect([version.code, version.stdout.toString(), version.stderr]).toEqual([
      0,
      `${JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version}\n`,
      "",
    ]);
    expect([help.code, help.stderr]).toEqual([0, ""]);
    expect(help.stdout.toString()).toContain("--save-latent");
  });

  it("reports a usage error in two lines, or as JSON (fault 44)", async () => {
    const [plain, json] = await Promise.all([limn(["a", "--sampler", "eulr"]), limn(["a", "--sampler", "eulr", "--json"])]);
    expect([plain.code, plain.stdout.length, errorLines(plain.stderr).code]).toEqual([2, 0, "UNKNOWN_SAMPLER"]);
    expect(errorLines(plain.stderr).hint).toMatch(/did you mean euler\?/);
    expect([json.code, json.stdout.length]).toEqual([2, 0]);
    expect(Object.keys(JSON.parse(json.stderr))).toEqual(["code", "message", "hint", "context"]);
  });

  it("shows a stack trace only with --debug", async () => {
    const ran = await limn(["a", "--steps", "0", "--debug"]);
    expect(ran.stderr).toMatch(/^ {4}at /m);
    expect(ran.stderr).toContain("error[INVALID_STEPS]: ");
  });

  it("checks the output before it loads anything (faults 58, 59)", async () => {
    const at = folder();
    writeFileSync(join(at, "taken.png"), "mine");
    const [taken, missing] = await Promise.all([
      limn([...quick, "-m", "/nonexistent.safetensors", "-o", join(at, "taken.png")]),
      limn([...quick, "-m", "/nonexistent.safetensors", "-o", join(at, "no", "a.png")]),
    ]);
    expect([taken.code, errorLines(taken.stderr).code]).toEqual([4, "OUTPUT_EXISTS"]);
    expect([missing.code, errorLines(missing.stderr).code]).toEqual([4, "OUTPUT_FOLDER"]);
    expect([readdirSync(at), readFileSync(join(at, "taken.png"), "utf8")]).toEqual([["taken.png"], "mine"]);
  });

  it("names pictures by prompt and seed, never writes over one, and says where they are (faults 41, 58)", async () => {
    const at = folder();
    const ran = await limn([...quick, "-q"], { cwd: at });
    expect([ran.code, readdirSync(at)]).toEqual([0, ["a-red-fox-3.png"]]);
    expect(ran.stdout.toString()).toMatch(/^a-red-fox-3\.png {2}64x64, seed 3\n/);
    const first = readFileSync(join(at, "a-red-fox-3.png"));
    const again = await limn([...quick, "--json"], { cwd: at });
    expect(readdirSync(at).sort()).toEqual(["a-red-fox-3-2.png", "a-red-fox-3.png"]);
    expect(readFileSync(join(at, "a-red-fox-3.png"))).toEqual(first);
    const summary = JSON.parse(again.stdout.toString());
    expect(summary.images).toEqual([{ path: "a-red-fox-3-2.png", seed: 3, width: 64, height: 64 }]);
    expect(Object.keys(summary)).toEqual(
      "images seconds stepsPerSecond dispatchesPerStep hostMicrosPerDispatch bindGroupsBuiltInReplay gpuBytes plannedBytes adapter tier precision".split(
        " ",
      ),
    );
    expect(Object.keys(summary.seconds)).toEqual(["load", "text", "denoise", "decode", "total"]);
    // The same command twice: the same pixels, and the text that other tools read.
    const second = readFileSync(join(at, "a-red-fox-3-2.png"));
    expect(decodePng(second).data).toEqual(decodePng(first).data);
    expect(readPngTexts(second).get("parameters")).toMatch(
      /^a red fox\nSteps: 1, Sampler: .+, Seed: 3, Size: 64x64, Model hash: [0-9a-f]{10}, Model: limn-emoji, /,
    );
  });

  it("sends a picture alone to stdout with -o -, and a batch with its own seeds to files", async () => {
    const at = folder();
    const [piped, batch] = [
      await limn([...quick, "-o", "-"], { cwd: at }),
      await limn([...quick, "-b", "2", "-o", "fox.png", "--save-latent", "fox.latent"], { cwd: at }),
    ];
    expect([piped.code, decodePng(piped.stdout).width]).toEqual([0, 64]);
    expect(piped.stderr).toContain("seed 3");
    expect([batch.code, readdirSync(at).sort()]).toEqual([0, ["fox-1.latent", "fox-1.png", "fox-2.latent", "fox-2.png"]]);
    expect(decodePng(readFileSync(join(at, "fox-1.png"))).data).toEqual(decodePng(piped.stdout).data);
    expect(readPngTexts(readFileSync(join(at, "fox-2.png"))).get("parameters")).toContain("Seed: 4,");
    // A saved latent has the form that --noise takes.
    const noisy = await limn([...quick, "-o", "noisy.png", "--noise", "fox-1.latent"], { cwd: at });
    expect([noisy.code, readdirSync(at).includes("noisy.png")]).toEqual([0, true]);
    const wrong = await limn([...quick, "-W", "128", "-o", "wrong.png", "--noise", "fox-1.latent"], { cwd: at });
    expect([wrong.code, errorLines(wrong.stderr).code, readdirSync(at).includes("wrong.png")]).toEqual([
      2,
      "INVALID_NOISE",
      false,
    ]);
  });

  it("notes words that the model does not know, and an empty prompt (fault 33)", async () => {
    const at = folder();
    const [strange, empty] = [
      await limn(["qwertz", ...quick.slice(1)], { cwd: at }),
      await limn(["", ...quick.slice(1)], { cwd: at }),
    ];
    expect([strange.code, strange.stderr]).toEqual([0, expect.stringMatching(/knows none of these words; .+, .+, .+/)]);
    expect([empty.code, empty.stderr]).toEqual([0, expect.stringContaining("warning: the prompt is empty")]);
  });

  it("takes the VAE of a whole checkpoint, and says nothing of its other tensors", async () => {
    const at = folder();
    const vae = join(root, "checkpoints", "limn-emoji.safetensors");
    const [own, lent] = [
      await limn([...quick, "-o", "own.png"], { cwd: at }),
      await limn([...quick, "-o", "lent.png", "--vae", vae], { cwd: at }),
    ];
    expect([own.code, lent.code, lent.stderr.includes("not used")]).toEqual([0, 0, false]);
    const [a, b] = ["own.png", "lent.png"].map((name) => decodePng(readFileSync(join(at, name))).data);
    expect(b).toEqual(a);
  });

  it("leaves nothing on a full disk (fault 60) and ends quietly when the reader is gone (fault 61)", async () => {
    const full = await limn([...quick, "-o", "-"], { shell: ">/dev/full" });
    expect([full.code, errorLines(full.stderr).code]).toEqual([4, "STDOUT_WRITE"]);
    const at = folder();
    const latent = await limn([...quick, "-o", "kept.png", "--save-latent", "/dev/full"], { cwd: at });
    expect([latent.code, errorLines(latent.stderr).code, readdirSync(at)]).toEqual([4, "OUTPUT_FULL", ["kept.png"]]);
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that puts the status in
    const gone = await limn([...quick, "-o", "-"], { shell: "| true; exit ${PIPESTATUS[0]}" });
    expect([gone.code, gone.stderr.includes("error[")]).toEqual([141, false]);
  });

  it("makes the picture where stderr is full or closed", async () => {
    const at = folder();
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the shell that puts the status in
    const status = "; exit ${PIPESTATUS[0]}";
    for (const shell of ["2>/dev/full", "2>&1 >/dev/null | true"]) {
      const ran = await limn([...quick, "--verbose"], { cwd: at, shell: `${shell}${status}` });
      expect([ran.code, ran.stderr]).toEqual([0, ""]);
    }
    expect(readdirSync(at).sort()).toEqual(["a-red-fox-3-2.png", "a-red-fox-3.png"]);
  });

  it("says when the help can't be written, and when the folder it runs in is gone", async () => {
    const help = await limn(["--help"], { shell: ">/dev/full" });
    expect([help.code, errorLines(help.stderr).code]).toEqual([4, "STDOUT_WRITE"]);
    const at = folder();
    const gone = spawnSync("sh", ["-c", 'rmdir "$PWD"; "$0" "$@"', process.execPath, main, ...quick], {
      cwd: at,
      encoding: "utf8",
    });
    expect([gone.status, errorLines(gone.stderr).code]).toEqual([4, "FS_NO_FOLDER"]);
  });

  it("takes what stands behind -- as text, also for its errors", async () => {
    const ran = await limn(["--", "--json", "--debug"]);
    expect([ran.code, errorLines(ran.stderr).code]).toEqual([2, "TOO_MANY_ARGUMENTS"]);
  });

  it("replaces no model that it reads, and gives picture, latent and preview no common file (fault 58)", async () => {
    const at = folder();
    copyFileSync(join(root, "checkpoints", "limn-emoji.safetensors"), join(at, "model"));
    symlinkSync("model", join(at, "fox.png"));
    const runs = [
      await limn([...quick, "-m", "model", "-o", "fox.png", "--overwrite"], { cwd: at }),
      await limn([...quick, "-m", "model", "-o", "a.png", "--preview-file", "fox.png"], { cwd: at }),
      await limn([...quick, "-o", "a.png", "--save-latent", "./a.png", "--overwrite"], { cwd: at }),
      await limn([...quick, "-o", "a.png", "--preview-file", "./a.png", "--overwrite"], { cwd: at }),
      await limn(["grid", ...quick, "--x", "seed=1,2", "-o", "a.png", "--preview-file", "./a.png"], { cwd: at }),
    ];
    for (const ran of runs) expect([ran.code, errorLines(ran.stderr).code]).toEqual([4, "OUTPUT_EXISTS"]);
    expect([statSync(join(at, "model")).size > 1e6, readdirSync(at)]).toEqual([true, ["fox.png", "model"]]);
  });

  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("stops on %s with %i and no file (fault 64)", async (name, code) => {
    const at = folder();
    let sent = 0;
    const act = (kill: (name: NodeJS.Signals) => void): void => {
      sent = performance.now();
      kill(name);
    };
    const ran = await limn(["a red fox", "--steps", "1000", "-o", "fox.png", "--json"], {
      cwd: at,
      when: { text: "denoise ", act },
    });
    expect([ran.code, ran.stdout.length, readdirSync(at)]).toEqual([code, 0, []]);
    expect(performance.now() - sent).toBeLessThan(5000);
  });

  it("obeys the first signal at once where nothing has to be put in order (fault 64)", async () => {
    const watched = pathToFileURL(join(root, "dist", "cli", "terminal", "interrupt.js"));
    const slow = `(await import("${watched}")).watchSignals().leaveAtOnce(); setInterval(() => {}, 1000); console.log("on");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", slow], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const sent = performance.now();
    child.kill("SIGTERM");
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, performance.now() - sent < 2000]).toEqual([143, true]);
  });

  it("leaves within 5 s where a step takes longer (fault 64)", async () => {
    const watched = pathToFileURL(join(root, "dist", "cli", "terminal", "interrupt.js"));
    const slow = `(await import("${watched}")).watchSignals(); setInterval(() => {}, 1000); console.log("on");`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", slow], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    const sent = performance.now();
    child.kill("SIGINT");
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect([code, performance.now() - sent < 5000]).toEqual([130, true]);
  });

  it("leaves at once on the second signal (fault 64)", async () => {
    const act = (kill: (name: NodeJS.Signals) => void): void => {
      kill("SIGINT");
      kill("SIGINT");
    };
    const ran = await limn(["a red fox", "--steps", "1000", "-o", "-"], { when: { text: "denoise ", act } });
    expect([ran.code, ran.stdout.length]).toEqual([130, 0]);
  });
});
