/**
 * @file Keeps what Vulkan's loader and Dawn print while they look for drivers off the terminal: warnings about limits nobody asked
 * for, and lines that look like a stack trace where there is merely no driver. Our own error says what matters.
 */
import { closeSync, fstatSync, openSync } from "node:fs";

/**
 * Runs `work`, which must be synchronous, with descriptor 2 pointed nowhere, and puts it back. Where that can't be undone (stderr is
 * a socket, or one file with stdout) `work` runs as it is.
 */
export function withQuietDriver<T>(work: () => T): T {
  const saved = reopenStderr();
  if (saved === undefined) return work();
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
  if (process.platform !== "linux") return undefined;
  try {
    const [out, err] = [fstatSync(1), fstatSync(2)];
    // Opened anew, a file has a position of its own: two writers to one file would write over each other.
    if (err.isFile() && out.ino === err.ino && out.dev === err.dev) return undefined;
    return openSync("/proc/self/fd/2", "a");
  } catch {
    return undefined;
  }
}
