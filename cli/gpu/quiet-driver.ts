/**
 * @file Keeps what Vulkan's loader and Dawn print while they look for drivers off stderr: warnings about limits nobody asked for, and
 * lines that look like a stack trace where there is merely no driver. Our own error says what matters. They print from C++, to
 * descriptor 2, so that no hook of Node's sees them; on Linux only there is a way round that.
 */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, writeSync } from "node:fs";

/** Lines as Dawn prints them. */
const noise = /^(Warning|Error): |^ {4}at /;

/** Runs `work`, which must be synchronous, and keeps the driver's words off stderr. Where stderr is a socket they can't be. */
export function withQuietDriver<T>(work: () => T): T {
  if (process.platform !== "linux") return work();
  const start = filePosition();
  if (start !== undefined) return blanked(work, start);
  const saved = reopenStderr();
  return saved === undefined ? work() : silenced(work, saved);
}

/** Descriptor 2 points nowhere meanwhile, then at the terminal, pipe or file again. */
function silenced<T>(work: () => T, saved: number): T {
  // The lowest free number is the one that is opened next: each pair of lines replaces descriptor 2.
  closeSync(2);
  openSync("/dev/null", "w");
  try {
    return work();
  } finally {
    closeSync(2);
    openSync(`/proc/self/fd/${saved}`, "a");
    closeSync(saved);
  }
}

/** A second descriptor for the place that stderr leads to: Node has no `dup`, but Linux lets a descriptor be opened by name. */
function reopenStderr(): number | undefined {
  try {
    return openSync("/proc/self/fd/2", "a");
  } catch {
    return undefined;
  }
}

/**
 * Where the next byte goes, if stderr is a file that is not only appended to. Opened anew it would have a position of its own, and
 * stdout, or whoever writes there next, would write over our lines.
 */
function filePosition(): number | undefined {
  try {
    if (!fstatSync(2).isFile()) return undefined;
    const info = readFileSync("/proc/self/fdinfo/2", "utf8");
    const [, position, flags] = /^pos:\s*(\d+)\s*flags:\s*([0-7]+)/.exec(info) ?? [];
    return position === undefined || (Number.parseInt(flags ?? "", 8) & constants.O_APPEND) !== 0 ? undefined : Number(position);
  } catch {
    return undefined;
  }
}

/**
 * What has been written since `start` is made one blank line, if it is Dawn's. It can't be cut off: Node has no lseek, so the position
 * would stay behind the new end, and whoever writes next (we, stdout, the shell behind us) would leave a hole of NULs.
 */
function blanked<T>(work: () => T, start: number): T {
  try {
    return work();
  } finally {
    const written = (filePosition() ?? start) - start;
    const bytes = Buffer.alloc(Math.min(written, 65536));
    try {
      const file = openSync("/proc/self/fd/2", "r+");
      readSync(file, bytes, 0, bytes.length, start);
      const lines = bytes.toString().trimEnd().split("\n");
      if (bytes.at(-1) === newline && lines.every((line) => noise.test(line))) {
        bytes.fill(" ", 0, bytes.length - 1);
        writeSync(file, bytes, 0, bytes.length, start);
      }
      closeSync(file);
    } catch {
      // The lines stay.
    }
  }
}

const newline = 0x0a;
