import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import { makeProgram } from "../../bench/program.ts";
import { formatError } from "../../cli/terminal/error-text.ts";
import { exitCodeOf } from "../../cli/terminal/exit-codes.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "limn-bench-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes to descriptor 1 past Node's streams, as Dawn does with errors that nobody waits for. */
const noise = `import { writeSync } from "node:fs"; process.on("exit", () => writeSync(1, "Dawn's noise\\n"))`;

/** `bench ARGUMENTS`, from the sources. */
function bench(args: readonly string[], ...imports: readonly string[]) {
  return spawnSync(
    process.execPath,
    [...["tsx", ...imports].flatMap((module) => ["--import", module]), "bench/main.ts", ...args],
    { cwd: root, encoding: "utf8" },
  );
}

function fileWith(name: string, content: unknown): string {
  const path = join(folder, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const ofSdxl = fileWith("sdxl.json", { family: "sdxl", size: 1024, rows: [{ name: "matmul", rung: "best", ms: { median: 1 } }] });
const oneRow = fileWith("one.json", { family: "sd15", size: 512, rows: [{ name: "sum_3", rung: "best", ms: { median: 1 } }] });
const noJson = fileWith("no.json", "slow");

describe("is refused before anything is measured", () => {
  it.each([
    ["gpu --peak 0", 2, /error\[INVALID_PEAK\]: --peak: "0" is below/],
    ["gpu nope", 2, /error\[UNKNOWN_KERNEL\]/],
    ["kernels --size 100", 2, /error\[INVALID_SIZE\]: --size: "100" is not a multiple of 8\nhint: use 96 or 104\n/],
    ["kernels nope", 2, /error\[UNKNOWN_KERNEL\]: .*"nope".*\nhint: there are 28, such as attention_1_4096_4096_512, .*--family/],
    ["kernels matmul_8192 --family embedded", 2, /error\[UNKNOWN_KERNEL\]/],
    ["kernels nope --peer-shapes", 2, /error\[UNKNOWN_KERNEL\]/],
    ["kernels --compare nowhere.json", 4, /error\[FS_NOT_FOUND\]: nowhere.json/],
    [`kernels --compare ${noJson}`, 2, /error\[INVALID_KEPT_RUN\]: .*no JSON/],
    [`kernels --compare ${ofSdxl}`, 2, /error\[NOTHING_TO_COMPARE\]: .*family is sdxl, this one's sd15/],
    [`kernels --compare ${oneRow}`, 2, /error\[NOTHING_TO_COMPARE\]: .*none of attention_8_4096_4096_40,/],
    [`step --compare ${oneRow}`, 2, /error\[NOTHING_TO_COMPARE\]: .*batch is not given, this one's 2/],
    ["kernels --max-slowdown 0.5x", 2, /error\[INVALID_MAX_SLOWDOWN\]: .*"0.5x" is not a number/],
    ["kernels --save nowhere/a.json", 4, /error\[OUTPUT_FOLDER\]/],
    ["step --batch 0", 2, /error\[INVALID_BATCH\]: --batch: "0" is below the least, 1/],
    ["step --runs 1.5", 2, /error\[INVALID_RUNS\]/],
    ["image --runs 0", 2, /error\[INVALID_RUNS\]/],
    ["image -m nowhere.safetensors", 4, /error\[FS_NOT_FOUND\]/],
    ["load -m .", 4, /error\[FS_NOT_A_FILE\]/],
    [`roofline ${ofSdxl} -o ${join(folder, "roof.svg")}`, 2, /error\[INVALID_KEPT_RUN\]: .*no kept run/],
  ])("%s: %i", async (line, code, message) => {
    const error: unknown = await makeProgram()
      .parseAsync(line.split(" "), { from: "user" })
      .catch((thrown: unknown) => thrown);
    expect(formatError(error, { json: false, debug: false })).toMatch(message);
    expect(exitCodeOf(error)).toBe(code);
  });

  it.each([
    ["gpu --goals h300", /Allowed choices are h200, h100, none/],
    ["gpu --peer-device tpu", /Allowed choices are cuda, cpu/],
    ["load", /required option '-m, --model <file>' not specified/],
  ])("%s", async (line, message) => {
    await expect(makeProgram().parseAsync(line.split(" "), { from: "user" })).rejects.toThrow(message);
  });

  it.each([
    ["kernels --size 100", /^error\[INVALID_SIZE\]: .*\nhint: use 96 or 104\n$/],
    ["gpu --json --goals h300", /^\{"code":"USAGE",.*\}\n$/],
  ])("%s, as a process: exit code 2, no stack trace, nothing on stdout", (line, message) => {
    const { status, stdout, stderr } = bench(line.split(" "));
    expect(stderr).toMatch(message);
    expect([status, stdout]).toEqual([2, ""]);
  });
});

describe("a comparison", () => {
  // The smallest shape that there is, in the place of minutes of them all.
  const kernel = ["kernels", "layerNorm", "--family", "embedded", "--size", "64", "--rungs", "best", "--tier", "software"];
  const kept = join(folder, "kept.json");

  it("stdout has the JSON alone, whatever Dawn writes there, and --save keeps the same", () => {
    const { status, stdout, stderr } = bench([...kernel, "--json", "--save", kept], `data:text/javascript,${noise}`);
    expect(stderr).toContain("ceiling: ");
    expect(status).toBe(0);
    const printed = JSON.parse(stdout) as { rows: readonly { name: string }[] };
    expect(printed.rows.map(({ name }) => name)).toEqual(["layerNorm_64_64"]);
    expect(JSON.parse(readFileSync(kept, "utf8"))).toMatchObject(printed);
  });

  it("with a run on another adapter warns; what is slower is told of, with exit code 1", () => {
    const run = JSON.parse(readFileSync(kept, "utf8")) as { rows: readonly object[] };
    const quick = { ...run, adapter: "abacus", rows: run.rows.map((row) => ({ ...row, ms: { median: 1e-9 } })) };
    const { status, stderr } = bench([...kernel, "--compare", fileWith("quick.json", quick)]);
    expect(stderr).toMatch(/^warning: compared with a run of another adapter: abacus; this one's is /m);
    expect(stderr).toMatch(/^layerNorm_64_64 best: .* ms, was 0.00 ms/m);
    expect(stderr).not.toContain("another tier");
    expect(status).toBe(1);
  });
});
