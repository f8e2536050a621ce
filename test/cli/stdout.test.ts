import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { build, root } from "./limn.ts";

/** Runs a few lines beside the built stdout.js, in bash, with a redirection for its streams. */
function script(lines: string, redirection = "") {
  const module = pathToFileURL(join(root, "dist", "cli", "terminal", "stdout.js")).href;
  const code = `import { writeSync } from "node:fs"; import { BrokenPipe, finishStdout, guardStdout, writeStdout } from "${module}"; ${lines}`;
  return spawnSync("bash", ["-c", `"$0" --input-type=module -e "$1" ${redirection}`, process.execPath, code], {
    encoding: "utf8",
  });
}

// What Dawn does from C++: straight to descriptor 1.
const noise = 'writeSync(1, "noise from the driver\\n");';

describe("stdout", () => {
  beforeAll(build);

  it("carries what Dawn prints when it is not guarded: why the guard is there", () => {
    expect(script(`${noise} await writeStdout("data\\n"); await finishStdout();`).stdout).toBe("noise from the driver\ndata\n");
  });

  it.each(["", "| cat", "2>/dev/null", "2>&1 >/dev/stdout 2>/dev/null | cat"])(
    "carries only our data when guarded (%s)",
    (redirection) => {
      const { stdout, status } = script(
        `guardStdout(); ${noise} await writeStdout("da"); ${noise} await writeStdout("ta\\n"); await finishStdout();`,
        redirection,
      );
      expect([stdout, status]).toEqual(["data\n", 0]);
    },
  );

  it("sends the driver's messages to stderr where that is a pipe or file", () => {
    expect(
      script(`guardStdout(); ${noise} await writeStdout("data"); await finishStdout();`, "2>&1 >/dev/null | cat").stdout,
    ).toBe("noise from the driver\n");
  });

  it("carries megabytes whole", () => {
    const { stdout } = script(`guardStdout(); await writeStdout(Buffer.alloc(8 << 20, 97)); await finishStdout();`, "| wc -c");
    expect(Number(stdout)).toBe(8 << 20);
  });

  it.each(["guardStdout();", ""])("notices a reader that is gone (fault 61; %s)", (guard) => {
    const lines = `${guard} try { for (let i = 0; i < 100; i++) await writeStdout(Buffer.alloc(1 << 16)); await finishStdout(); } catch (error) { console.error(error instanceof BrokenPipe); }`;
    const { stderr } = spawnSync(
      "bash",
      ["-c", `"$0" --input-type=module -e "$1" | head -c 1 >/dev/null`, process.execPath, importing(lines)],
      { encoding: "utf8" },
    );
    expect(stderr).toBe("true\n");
  });

  it.each(["guardStdout();", ""])("reports a full disk (%s)", (guard) => {
    const lines = `${guard} try { await writeStdout("data"); await finishStdout(); } catch (error) { console.error(error.code); }`;
    expect(script(lines, ">/dev/full").stderr).toBe("STDOUT_WRITE\n");
  });
});

function importing(lines: string): string {
  const module = pathToFileURL(join(root, "dist", "cli", "terminal", "stdout.js")).href;
  return `import { BrokenPipe, finishStdout, guardStdout, writeStdout } from "${module}"; ${lines}`;
}
