import { execFile, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { prepareOutput, withNumber } from "../../cli/files/output.ts";
import { explainWriteFailure } from "../../cli/files/write-failure.ts";
import { defaultName, slug } from "../../cli/pictures/picture-name.ts";
import { FileSystemError } from "../../engine/errors.ts";
import { skipped } from "../skip.ts";
import { build, root, temporaryFolder } from "./limn.ts";

const bytes = Buffer.from("picture");
let folders = 0;
const base = temporaryFolder();

function folder(): string {
  const path = join(base, String(folders++));
  mkdirSync(path);
  return path;
}

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(FileSystemError);
    return (error as FileSystemError).code;
  }
  return "written";
}

const refuse = { overwrite: false };

describe("output", () => {
  it("writes a file and leaves nothing else", async () => {
    const path = join(folder(), "a.png");
    const output = await prepareOutput(path, refuse);
    expect(existsSync(path)).toBe(false);
    expect(await output.write(bytes)).toBe(path);
    expect(readFileSync(path)).toEqual(bytes);
    expect(readdirSync(join(path, ".."))).toEqual(["a.png"]);
  });

  it("refuses a file that exists, before and at the end (fault 58)", async () => {
    const path = join(folder(), "a.png");
    const output = await prepareOutput(path, refuse);
    writeFileSync(path, "another run");
    expect(await codeOf(output.write(bytes))).toBe("OUTPUT_EXISTS");
    expect(await codeOf(prepareOutput(path, refuse))).toBe("OUTPUT_EXISTS");
    expect(readFileSync(path, "utf8")).toBe("another run");
    expect(readdirSync(join(path, ".."))).toEqual(["a.png"]);
  });

  it("replaces with --overwrite, the file behind a link and not the link", async () => {
    const at = folder();
    writeFileSync(join(at, "a.png"), "old");
    symlinkSync("a.png", join(at, "link.png"));
    await (await prepareOutput(join(at, "link.png"), { overwrite: true })).write(bytes);
    expect(readFileSync(join(at, "a.png"))).toEqual(bytes);
    expect(readdirSync(at)).toEqual(["a.png", "link.png"]);
  });

  it("refuses a link that leads nowhere", async () => {
    const at = folder();
    symlinkSync("nowhere", join(at, "link.png"));
    expect(await codeOf(prepareOutput(join(at, "link.png"), refuse))).toBe("OUTPUT_EXISTS");
  });

  it("adds a number to names of its own, also when two runs race (fault 58)", async () => {
    const path = join(folder(), "fox-3.png");
    const options = { overwrite: false, numbered: true };
    const outputs = await Promise.all(Array.from({ length: 5 }, () => prepareOutput(path, options)));
    const paths = await Promise.all(outputs.map((output, index) => output.write(Buffer.from(String(index)))));
    expect(new Set(paths).size).toBe(5);
    expect(readdirSync(join(path, "..")).sort()).toEqual([
      "fox-3-2.png",
      "fox-3-3.png",
      "fox-3-4.png",
      "fox-3-5.png",
      "fox-3.png",
    ]);
    expect(new Set(paths.map((one) => readFileSync(one, "utf8"))).size).toBe(5);
  });

  it("checks the folder first (fault 59)", async () => {
    const at = folder();
    writeFileSync(join(at, "file"), "");
    expect(await codeOf(prepareOutput(join(at, "missing", "a.png"), refuse))).toBe("OUTPUT_FOLDER");
    expect(await codeOf(prepareOutput(join(at, "file", "a.png"), refuse))).toBe("OUTPUT_FOLDER");
    expect(await codeOf(prepareOutput(at, refuse))).toBe("OUTPUT_IS_FOLDER");
    expect(await codeOf(prepareOutput(join(at, "a".repeat(300)), refuse))).toBe("OUTPUT_NAME");
    expect(await codeOf(prepareOutput(join(at, "a\0b"), refuse))).toBe("OUTPUT_NAME");
    expect(readdirSync(at)).toEqual(["file"]);
  });

  it.skipIf(skipped("a folder where nothing can be made", !existsSync("/proc/version") && "no /proc"))(
    "refuses a folder where nothing can be made (fault 59)",
    async () => {
      // Even root can't make files in /proc.
      expect(["OUTPUT_DENIED", "OUTPUT_FOLDER"]).toContain(await codeOf(prepareOutput("/proc/limn.png", refuse)));
    },
  );

  it.skipIf(skipped("a full disk", !existsSync("/dev/full") && "no /dev/full"))(
    "reports a full disk and writes into devices (fault 60)",
    async () => {
      expect(await codeOf((await prepareOutput("/dev/full", refuse)).write(bytes))).toBe("OUTPUT_FULL");
      expect(await codeOf((await prepareOutput("/dev/null", refuse)).write(bytes))).toBe("written");
      expect(statSync("/dev/full").isCharacterDevice()).toBe(true);
    },
  );

  it.each([
    ["ENOSPC", "OUTPUT_FULL"],
    ["EDQUOT", "OUTPUT_FULL"],
    ["EIO", "OUTPUT_WRITE"],
    ["EROFS", "OUTPUT_DENIED"],
    ["EACCES", "OUTPUT_DENIED"],
  ])("explains %s as %s (fault 60)", (errno, code) => {
    const error = explainWriteFailure("a.png", Object.assign(new Error(errno), { code: errno }));
    expect(error.code).toBe(code);
    expect(error.hint).toMatch(/-o/);
  });

  it.skipIf(skipped("a named pipe", process.platform === "win32" && "Windows has no mkfifo"))(
    "waits for a pipe's reader and for room in it, and in no system call, which would hold up Ctrl-C (faults 59, 64)",
    async () => {
      build();
      const path = join(folder(), "pipe");
      execFileSync("mkfifo", [path]);
      const picture = Buffer.alloc(300_000, "picture"); // a pipe holds 64 KiB
      const module = pathToFileURL(join(root, "dist", "cli", "files", "output.js")).href;
      const waiting = `import { prepareOutput } from "${module}"; process.on("SIGINT", () => process.exit(130));
        void (await prepareOutput("${path}", { overwrite: false })).write(Buffer.alloc(9)); setTimeout(() => console.log("on"), 50);`;
      const child = spawn(process.execPath, ["--input-type=module", "-e", waiting]);
      await once(child.stdout, "data");
      child.kill("SIGINT");
      expect(await once(child, "close")).toEqual([130, null]);

      const written = (await prepareOutput(path, refuse)).write(picture);
      const counted = promisify(execFile)("sh", ["-c", `sleep 0.2; cat '${path}' | wc -c`]);
      const [to, { stdout }] = await Promise.all([written, counted]);
      expect([to, Number(stdout)]).toEqual([path, picture.length]);
    },
  );

  it("replaces no model that the run reads, also through a link (fault 58)", async () => {
    const at = folder();
    const [model, link, other] = [join(at, "model"), join(at, "link"), join(at, "other")];
    for (const path of [model, other]) writeFileSync(path, "weights");
    symlinkSync("model", link);
    const options = { overwrite: true, models: [undefined, join(at, "missing"), model] };
    for (const path of [model, link]) await expect(prepareOutput(path, options)).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
    expect((await prepareOutput(other, options)).target).toBe(other);
    expect(readFileSync(model, "utf8")).toBe("weights");
  });

  it("knows two names of one file", async () => {
    const at = folder();
    mkdirSync(join(at, "in"));
    symlinkSync("in", join(at, "link"));
    const names = [join(at, "in", "a.png"), join(at, "link", "a.png"), `${at}/in/../in/a.png`];
    const targets = await Promise.all(names.map(async (name) => (await prepareOutput(name, refuse)).target));
    expect(new Set(targets).size).toBe(1);
  });

  it("removes what killed runs left, and nothing else (fault 62)", async () => {
    const at = folder();
    const others = [".limn.tmp-1-0", `.limn.tmp-${process.pid}-99999`, "limn.tmp-4194305-0", ".limn.tmp-x-0"];
    for (const name of [...others, ".limn.tmp-4194305-0", ".limn.tmp-4194306-7"]) writeFileSync(join(at, name), "");
    await prepareOutput(join(at, "a.png"), refuse);
    expect(readdirSync(at).sort()).toEqual([...others].sort());
  });
});

describe("picture names", () => {
  it.each([
    ["A red fox, sitting!", "a-red-fox-sitting"],
    ["", "picture"],
    ["../../etc/passwd", "etc-passwd"],
    ["\u0000\n\u001b[31m", "31m"],
    ["Füchse & Çiçek", "fuchse-cicek"],
    ["狐狸", "狐狸"],
    ["\ud800 fox", "fox"],
  ])("%j becomes %s", (prompt, name) => {
    expect(slug(prompt)).toBe(name);
  });

  it("is short whatever the prompt", () => {
    for (const prompt of ["word ".repeat(500), "狐".repeat(500), "x".repeat(1 << 20)]) {
      expect(Buffer.byteLength(defaultName(prompt, (1n << 64n) - 1n))).toBeLessThan(100);
      expect(slug(prompt)).not.toBe("picture");
    }
  });

  it("numbers before the ending", () => {
    expect(withNumber("a/b.c/fox.png", 2)).toBe("a/b.c/fox-2.png");
    expect(withNumber("a.b/fox", 3)).toBe("a.b/fox-3");
  });
});
