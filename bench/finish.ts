/** @file The end of a measurement: its result to stdout and to a file, and against a kept one. */
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { basename } from "node:path";
import { writeStdout } from "../cli/terminal/stdout.ts";
import type { Common } from "./choices.ts";
import { compareRuns, differences } from "./compare.ts";

const [loadAtStart] = loadavg();

/** Sets the exit code to 1 where something is slower than in `kept`. */
export async function finish(result: object, options: Common, kept: object | undefined): Promise<void> {
  if (options.json) await writeStdout(`${JSON.stringify(result)}\n`);
  save(result, options);
  if (!kept) return;
  for (const line of differences(kept, result)) console.error(line);
  const slower = compareRuns(kept, result, options.maxSlowdown);
  for (const line of slower) console.error(line);
  if (slower.length > 0) process.exitCode = 1;
}

export function save(result: object, options: Common): void {
  if (options.save) writeFileSync(options.save, `${JSON.stringify({ ...circumstances(), ...result }, null, 1)}\n`);
}

/** What a reader of a kept result must know of the run. */
function circumstances() {
  // Files by their names: where they lie is this machine's own affair.
  const command = `npm run bench -- ${process.argv
    .slice(2)
    .map((argument) => basename(argument))
    .join(" ")
    .replace(/ ?--save \S+/, "")}`;
  // Load: processes that wanted a core in the last minute, when the run began and now. On an idle machine it is this one's own.
  const machine = { cores: cpus().length, load: { begin: loadAtStart, end: loadavg()[0] } };
  return { command, date: new Date().toISOString().slice(0, 10), machine };
}
