/** @file `npm run bench -- COMMAND ...`: the bench's process; errors and exit codes as the command `limn` has them. */
import { CommanderError } from "commander";
import { formatError } from "../cli/terminal/error-text.ts";
import { exitCodeOf, exitCodes } from "../cli/terminal/exit-codes.ts";
import { BrokenPipe, finishStdout } from "../cli/terminal/stdout.ts";
import { UsageError } from "../engine/index.ts";
import { makeProgram } from "./program.ts";

try {
  await makeProgram().parseAsync();
  await finishStdout();
} catch (error) {
  process.exitCode = leave(error);
}
// Dawn keeps the event loop alive while its GPU object is referenced.
process.exit();

/** Says what went wrong, if anything did; returns the exit code. */
function leave(error: unknown): number {
  if (error instanceof BrokenPipe) return exitCodes.brokenPipe;
  if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok; // --help
  if (error instanceof CommanderError && error.code === "commander.help") return exitCodes.usage; // nothing was asked for
  const own = error instanceof CommanderError ? asUsageError(error) : error;
  process.stderr.write(formatError(own, { json: process.argv.includes("--json"), debug: process.argv.includes("--debug") }));
  return exitCodeOf(own);
}

function asUsageError({ message }: CommanderError): UsageError {
  return new UsageError("USAGE", message.replace(/^error: /, ""), { hint: "npm run bench -- help COMMAND lists what it takes" });
}
