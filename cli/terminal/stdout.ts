/**
 * @file Standard output for programs. Dawn prints some messages to file descriptor 1 from C++, where no hook of Node's sees
 * them; they would spoil a PNG or a JSON object there. So descriptor 1 is pointed at stderr before Dawn is loaded, and our own
 * data goes through a small child, `cat`, that inherits the real one (a new Node process would cost ten times as much start-up).
 */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Writable } from "node:stream";
import { isatty } from "node:tty";
import { FileSystemError } from "../../engine/errors.ts";

/** The reader of stdout is gone (EPIPE): no error, only a reason to stop. */
export class BrokenPipe extends Error {}

/** Leads to the real stdout once that is guarded. */
let relay: Writable | undefined;
let relayEnd: Promise<number | "SIGPIPE"> | undefined;

/** Keeps stdout for `writeStdout` alone. Call before anything is written there and before Dawn is loaded. */
export function guardStdout(): void {
  // A terminal has a person behind it, who can tell the two apart; Windows has no cat.
  if (relay || isatty(1) || process.platform === "win32") return;
  const child = spawn("cat", [], { stdio: ["pipe", 1, "ignore"] });
  child.on("error", () => undefined);
  if (child.pid === undefined || child.stdin === null) return;
  relay = child.stdin.on("error", () => undefined);
  relayEnd = new Promise((resolve) => {
    child.on("close", (code, signal) => resolve(signal === "SIGPIPE" ? "SIGPIPE" : (code ?? 1)));
  });
  // The lowest free number is the one that is opened next, so these two lines replace descriptor 1.
  closeSync(1);
  openInstead();
}

function openInstead(): void {
  try {
    openSync("/dev/stderr", "a");
  } catch {
    openSync("/dev/null", "w"); // stderr is a socket, which has no path to open
  }
}

/** Writes to the real stdout. @throws BrokenPipe; FileSystemError STDOUT_WRITE */
export async function writeStdout(data: string | Uint8Array): Promise<void> {
  const stream: Writable = relay ?? process.stdout;
  await new Promise<void>((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => reject(explain(error));
    stream.once("error", failed);
    stream.write(data, (error) => {
      if (error) return failed(error);
      stream.off("error", failed);
      resolve();
    });
  });
}

/** Waits until all is out, after the last `writeStdout`. @throws BrokenPipe; FileSystemError STDOUT_WRITE */
export async function finishStdout(): Promise<void> {
  if (!relay || !relayEnd) return;
  relay.end();
  const end = await relayEnd;
  if (end === "SIGPIPE") throw new BrokenPipe();
  if (end !== 0) throw explain(undefined);
}

function explain(error: NodeJS.ErrnoException | undefined): Error {
  if (error?.code === "EPIPE") return new BrokenPipe();
  return new FileSystemError("STDOUT_WRITE", `stdout: writing failed${error?.code ? ` (${error.code})` : ""}`, {
    hint: "the place that stdout leads to is full or broken: write to a file elsewhere with -o",
    cause: error,
  });
}
