/** @file Runs the built command as users do: a process with arguments, an exit code and two streams. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const main = join(root, "dist", "cli", "main.js");

export interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Called as soon as stderr holds this text, with a way to send a signal. */
  readonly when?: { readonly text: string; readonly act: (kill: (name: NodeJS.Signals) => void) => void };
  /** Shell redirections for the command, e.g. "> /dev/full". Its streams are pipes otherwise. */
  readonly shell?: string;
  /** What comes in on stdin, to its end. */
  readonly input?: string;
}

/** Which run of vitest last saw to dist/. */
const builtFor = join(root, "node_modules", ".cache", "limn", "tested");

/**
 * Builds dist/ from the sources as they are (nothing to do after `npm test`'s own set-up), once for all files of a run: none may find it
 * half written because somebody saved a source in the meantime.
 */
export function build(): void {
  const run = process.env["LIMN_TEST_RUN"] ?? "";
  if (existsSync(builtFor) && readFileSync(builtFor, "utf8") === run) return;
  const done = spawnSync(process.execPath, [join(root, "scripts", "setup.mjs")], { encoding: "utf8" });
  if (done.status !== 0) throw new Error(`set-up failed:\n${done.stderr}`);
  writeFileSync(builtFor, run);
}

/** `limn ARGUMENTS`, to its end. */
export function limn(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const quoted = [process.execPath, main, ...args].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  const [command, words] = options.shell ? ["bash", ["-c", `${quoted} ${options.shell}`]] : [process.execPath, [main, ...args]];
  const child = spawn(command, words, {
    cwd: options.cwd ?? root,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined); // a command that ends without reading
  child.stdin.end(options.input ?? "");
  const out: Buffer[] = [];
  let stderr = "";
  let acted = false;
  child.stdout.on("data", (part: Buffer) => out.push(part));
  child.stderr.on("data", (part: Buffer) => {
    stderr += part;
    if (options.when && !acted && stderr.includes(options.when.text)) {
      acted = true;
      options.when.act((name) => child.kill(name));
    }
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout: Buffer.concat(out), stderr }));
  });
}

/** What an error must look like: one line with the code, one with the hint, no stack trace. Drivers may have printed before. */
export function errorLines(stderr: string): { code: string; message: string; hint: string } {
  const lines = stderr.trimEnd().split("\n");
  const [errors, hints] = [lines.filter((line) => line.startsWith("error[")), lines.filter((line) => line.startsWith("hint: "))];
  const match = /^error\[([A-Z0-9_]+)\]: (.+)$/.exec(errors[0] ?? "");
  if (errors.length !== 1 || hints.length !== 1 || !match || /^ {4}at /m.test(stderr)) {
    throw new Error(`not one error line and one hint line:\n${stderr}`);
  }
  return { code: match[1]!, message: match[2]!, hint: hints[0]!.slice("hint: ".length) };
}

/** An environment with limn's own cache in `folder`, and not in the home of whoever runs the tests. The shaders that the driver has compiled stay where they are. */
export function ownCache(folder: string) {
  const usual = process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache");
  return { XDG_CACHE_HOME: folder, MESA_SHADER_CACHE_DIR: process.env["MESA_SHADER_CACHE_DIR"] ?? usual };
}

/** A folder that is gone after the tests of this file. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "limn-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
