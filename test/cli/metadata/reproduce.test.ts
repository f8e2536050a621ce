import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { decodePng, encodePng, readPngTexts } from "../../../cli/png/png.ts";
import { build, errorLines, limn, ownCache, root, temporaryFolder } from "../limn.ts";

const quick = ["a red (fox:1.2) [hat:boat:0.5]", "-W", "64", "-H", "64", "-s", "2", "--seed", "3", "-q"];
const folder = temporaryFolder();
const env = ownCache(join(folder, "cache"));
const at = (name: string) => join(folder, name);

interface Report {
  readonly same: boolean;
  readonly identical: boolean;
  readonly largest: number;
  readonly files: readonly { readonly kind: string; readonly path: string; readonly proved: boolean }[];
}

async function make(name: string, args: readonly string[]): Promise<void> {
  const ran = await limn([...args, "-o", at(name)], { env });
  if (ran.code !== 0) throw new Error(ran.stderr);
}

async function reproduce(...args: readonly string[]): Promise<{ code: number | null; report: Report }> {
  const ran = await limn(["reproduce", ...args, "--json", "-q"], { env });
  if (ran.stdout.length === 0) throw new Error(ran.stderr);
  return { code: ran.code, report: JSON.parse(ran.stdout.toString()) };
}

/** A copy with other pixels or texts. */
function changed(from: string, to: string, change: { pixel?: number; texts?: Record<string, string> }): void {
  const bytes = readFileSync(at(from));
  const { width, height, data, texts } = decodePng(bytes);
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => data[4 * Math.floor(i / 3) + (i % 3)]!);
  rgb[0] = (rgb[0]! + (change.pixel ?? 0)) & 255;
  writeFileSync(at(to), encodePng({ width, height, data: rgb }, change.texts ?? Object.fromEntries(texts)));
}

beforeAll(async () => {
  build();
  await make("fox.png", quick);
}, 120_000);

describe("limn reproduce", () => {
  it("makes limn's own pictures again, every pixel, and keeps them if asked to", async () => {
    const { code, report } = await reproduce(at("fox.png"), "-o", at("again.png"));
    expect(code).toBe(0);
    expect(report).toMatchObject({ same: true, identical: true, largest: 0, files: [{ kind: "model", proved: true }] });
    const [old, again] = ["fox.png", "again.png"].map((name) => readFileSync(at(name)));
    expect(again).toEqual(old);
  });

  it("tells changed pictures from their pixels, exit code 1, within a tolerance or not", async () => {
    changed("fox.png", "touched.png", { pixel: 3 });
    const exact = await limn(["reproduce", at("touched.png"), "-q"], { env });
    expect([exact.code, exact.stdout.toString()]).toEqual([
      1,
      expect.stringMatching(/largest difference 3 of 255, PSNR 7\d\.\d dB/),
    ]);
    const near = await reproduce(at("touched.png"), "--tolerance", "3");
    expect([near.code, near.report.same, near.report.identical]).toEqual([0, true, false]);
  });

  it("makes a picture of a batch again, also where one generator drew for all", async () => {
    await make("batch.png", [...quick, "-b", "2", "--compat", "comfy"]);
    expect((await reproduce(at("batch-2.png"))).report.identical).toBe(true);
    await make("varied.png", [
      ...quick,
      "-b",
      "2",
      "--variation-seed",
      "9",
      "--variation-strength",
      "0.4",
      "--sampler",
      "euler_a",
    ]);
    expect((await reproduce(at("varied-2.png"))).report.identical).toBe(true);
  }, 300_000);

  it.each([
    [
      "of A1111",
      ["a [fox:cat:0.5] (x:1.3) AND a house :0.7", "-n", "-bad, [y]"],
      "--compat a1111 --sampler euler_a --ensd 31337 --emphasis no-norm --comma-backtrack 0 --old-edits --variation-seed 9 " +
        "--variation-strength 0.3 --seed-resize 96x96 --eta 0.7 --noise-scale 1.1 --zero-snr --sigma-max 12",
    ],
    [
      "of churn and noise levels",
      ["a fox"],
      "--sampler heun --sigmas 14.6,3.1,0.7,0 --churn 2 --churn-min 0.1 --churn-max 10 --guidance-rescale 0.5 --save-latent LATENT",
    ],
    ["of files", ["a fox", "--sampler", "DPM++ 2M SDE Karras"], "--noise LATENT --vae MODEL --refiner MODEL --refiner-at 0.5"],
  ])("keeps every option that changes a picture: those %s", { timeout: 300_000 }, async (_, args, options) => {
    const paths = { LATENT: at("latent.safetensors"), MODEL: join(root, "checkpoints", "limn-emoji.safetensors") };
    const words = options.split(" ").map((word) => (word === "LATENT" || word === "MODEL" ? paths[word] : word));
    await make("many.png", [...args, ...words, ...quick.slice(1), "--overwrite"]);
    expect((await reproduce(at("many.png"))).report.identical).toBe(true);
  });

  it("finds the model by its hash, whatever its name", async () => {
    const text = readPngTexts(readFileSync(at("fox.png"))).get("parameters")!;
    mkdirSync(at("models/deep"), { recursive: true });
    copyFileSync(join(root, "checkpoints", "limn-emoji.safetensors"), at("models/deep/other.safetensors"));
    // Its last byte makes it another model; only A1111's ten digits name it.
    const bytes = readFileSync(at("models/deep/other.safetensors"));
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(at("models/deep/other.safetensors"), bytes);
    await make("changed.png", [...quick, "-m", at("models/deep/other.safetensors")]);
    const missing = await limn(["reproduce", at("changed.png"), "-q"], { env });
    expect([missing.code, errorLines(missing.stderr).code]).toEqual([4, "REPRODUCE_FILE"]);
    expect(missing.stderr).toMatch(/other\.safetensors, SHA-256 [0-9a-f]{64}/);
    renameSync(at("models/deep/other.safetensors"), at("models/deep/renamed.safetensors"));
    const found = await reproduce(at("changed.png"), "--model-dir", at("models"));
    expect(found.report).toMatchObject({
      identical: true,
      files: [{ path: at("models/deep/renamed.safetensors"), proved: true }],
    });
    const remembered = readFileSync(join(env.XDG_CACHE_HOME, "limn", "hashes.json"), "utf8");
    expect(remembered).toContain("renamed.safetensors");
    // A1111's text alone names the embedded model by ten digits, and is enough.
    changed("fox.png", "theirs.png", { texts: { parameters: text } });
    expect((await reproduce(at("theirs.png"))).report.identical).toBe(true);
  }, 300_000);

  it("makes img2img and inpaint again: with the picture where it was, beside the new one, or as it is given", async () => {
    const data = Uint8Array.from({ length: 72 * 64 * 3 }, (_, i) => (i * 3 + (i >> 8)) & 255);
    mkdirSync(at("in"), { recursive: true });
    writeFileSync(at("in/init.png"), encodePng({ width: 72, height: 64, data }));
    writeFileSync(
      at("in/mask.png"),
      encodePng({ width: 72, height: 64, data: data.map((_, i) => (Math.floor(i / 3) % 72 < 20 ? 255 : 0)) }),
    );
    const from = ["a red fox", "--init", at("in/init.png"), "-s", "2", "--seed", "3", "-q"];
    await make("img2img.png", ["img2img", ...from, "--strength", "0.6", "--bg", "#102030"]);
    await make("inpaint.png", [
      "inpaint",
      ...from,
      "--mask",
      at("in/mask.png"),
      "--fill",
      "noise",
      "--only-masked",
      "-W",
      "64",
      "-H",
      "64",
    ]);
    expect((await reproduce(at("img2img.png"))).report.identical).toBe(true);
    expect((await reproduce(at("inpaint.png"))).report.identical).toBe(true);
    renameSync(at("in/init.png"), at("moved.png"));
    expect((await reproduce(at("img2img.png"))).report).toMatchObject({
      identical: true,
      files: [{}, { path: at("moved.png"), proved: true }],
    });
    mkdirSync(at("away"), { recursive: true });
    renameSync(at("moved.png"), at("away/moved.png"));
    const missing = await limn(["reproduce", at("img2img.png"), "-q"], { env });
    expect([missing.code, errorLines(missing.stderr)]).toEqual([
      4,
      expect.objectContaining({ code: "REPRODUCE_FILE", hint: expect.stringContaining("--init") }),
    ]);
    expect((await reproduce(at("img2img.png"), "--init", at("away/moved.png"))).report.identical).toBe(true);
  }, 300_000);

  it("puts what a stranger's metadata says through the checks of the command line", async () => {
    const own = JSON.parse(readPngTexts(readFileSync(at("fox.png"))).get("limn")!);
    const hostile = async (settings: Record<string, unknown>, more: Record<string, unknown> = {}) => {
      const text = JSON.stringify({ ...own, ...more, settings: { ...own.settings, ...settings } });
      changed("fox.png", "hostile.png", { texts: { limn: text } });
      const ran = await limn(["reproduce", at("hostile.png"), "-q"], { env, cwd: folder });
      return [ran.code, errorLines(ran.stderr).code];
    };
    expect(await hostile({ sampler: "--output=stolen.png" })).toEqual([2, "UNKNOWN_SAMPLER"]);
    expect(await hostile({ steps: 1e9 })).toEqual([2, "INVALID_STEPS"]);
    expect(await hostile({ width: 1e9 })).toEqual([2, "INVALID_WIDTH"]);
    // No device, no end: such a file is not even read.
    const init = { name: "zero", path: "/dev/zero", hash: "0".repeat(64) };
    expect(await hostile({}, { command: "img2img", init })).toEqual([4, "REPRODUCE_FILE"]);
    expect(await hostile({}, { prompt: "<lora:../../x:1>" })).toEqual([4, "REPRODUCE_FILE"]);
    expect(existsSync(at("stolen.png"))).toBe(false);
  });
});

describe("limn info", () => {
  it("prints a picture's making for people, and with --raw its texts", async () => {
    const ran = await limn(["info", at("fox.png"), "--raw"]);
    const text = ran.stdout.toString();
    expect(ran.code).toBe(0);
    expect(text).toMatch(/^prompt {6}a red \(fox:1\.2\) \[hat:boat:0\.5\]$/m);
    expect(text).toMatch(/^model {7}limn-emoji\.safetensors, SHA-256 [0-9a-f]{64}$/m);
    expect(text).toContain("--- parameters\na red (fox:1.2)");
  });

  it("prints a command that makes the picture again as it stands", async () => {
    const words = JSON.parse((await limn(["info", at("fox.png"), "--json"])).stdout.toString()).arguments as string[];
    const ran = await limn([words[0]!, "-o", at("typed.png"), ...words.slice(1)], { env });
    expect([ran.code, ran.stderr.includes("error")]).toEqual([0, false]);
    const pixels = (name: string) => decodePng(readFileSync(at(name))).data;
    expect(pixels("typed.png")).toEqual(pixels("fox.png"));
  });

  it("prints one JSON object with --json", async () => {
    const { recipe, arguments: words, files } = JSON.parse((await limn(["info", at("fox.png"), "--json"])).stdout.toString());
    expect(recipe).toMatchObject({ source: "limn", settings: { steps: 2, seed: "3", width: 64 } });
    expect(words).toEqual(expect.arrayContaining(["txt2img", "--steps=2", "--", quick[0]]));
    expect(files).toEqual([expect.objectContaining({ kind: "model", name: "limn-emoji.safetensors" })]);
  });

  it("shows control characters, and obeys none", async () => {
    changed("fox.png", "escape.png", {
      texts: { parameters: "\u001b[2J\u202eevil\nSteps: 1, Sampler: \u001b]0;x, CFG scale: 1, Seed: 1" },
    });
    const text = (await limn(["info", at("escape.png"), "--raw"])).stdout.toString();
    expect(text).toContain("\\u001b[2J\\u202eevil");
    expect([text.includes("\u001b"), text.includes("\u202e")]).toEqual([false, false]);
  });

  it("says so where there is nothing to read, exit code 10", async () => {
    changed("fox.png", "bare.png", { texts: { Software: "x" } });
    const ran = await limn(["info", at("bare.png")]);
    expect([ran.code, errorLines(ran.stderr).code]).toEqual([10, "NO_METADATA"]);
    expect(ran.stderr).toContain("none is known: Software");
  });
});
