#!/usr/bin/env node
/** @file The `limn` command: arguments in, one command run, errors and exit code out. */
import { parseArguments, TextWanted, UsageWanted } from "./syntax/arguments.ts";
import type { CommandContext, Invocation } from "./syntax/options.ts";
import { asOwnError, formatError } from "./terminal/error-text.ts";
import { exitCodeOf, exitCodes } from "./terminal/exit-codes.ts";
import { watchSignals } from "./terminal/interrupt.ts";
import { BrokenPipe, finishStdout, guardStdout, writeStdout } from "./terminal/stdout.ts";
import { packageVersion } from "./version.ts";

const argv = process.argv.slice(2);
/** What stands behind `--` is text, whatever it looks like. */
const flags = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
/** Commands that have something to put in order before they stop. */
const stopsItself: ReadonlySet<string> = new Set("txt2img img2img inpaint grid repl upscale trace reproduce".split(" "));
// Nobody reads what is said of the run, or its disk is full: no reason to lose the picture.
process.stderr.on("error", () => undefined);
process.exitCode = exitCodes.ok;
const interruption = watchSignals();
try {
  const invocation = parseArguments(argv, packageVersion);
  if (wantsCleanStdout(invocation)) guardStdout();
  await run(invocation, interruption);
  await finishStdout();
} catch (error) {
  process.exitCode = await leave(error);
}
// Not left to the event loop: a driver that blocks must not keep the process.
process.exit();

/** Loads the command's file only now, so that `--version` and a usage error are quick. */
async function run(invocation: Invocation, context: CommandContext): Promise<void> {
  if (!stopsItself.has(invocation.command)) interruption.leaveAtOnce();
  switch (invocation.command) {
    case "txt2img":
    case "img2img":
    case "inpaint":
      return (await import("./commands/txt2img.ts")).run(invocation.options, context);
    case "grid":
      return (await import("./commands/grid.ts")).run(invocation.options, context);
    case "repl":
      return (await import("./commands/repl.ts")).run(invocation.options, context);
    case "styles":
      return (await import("./commands/styles.ts")).run(invocation.options);
    case "upscale":
      return (await import("./commands/upscale.ts")).run(invocation.options, context);
    case "inspect":
      return (await import("./commands/inspect.ts")).run(invocation.options);
    case "tokenize":
      return (await import("./commands/tokenize.ts")).run(invocation.options);
    case "prompt":
      return (await import("./commands/prompt.ts")).run(invocation.options);
    case "kernel":
      return (await import("./commands/kernel.ts")).run(invocation.options);
    case "trace":
      return (await import("./commands/trace.ts")).run(invocation.options, context);
    case "plan":
      return (await import("./commands/plan.ts")).run(invocation.options);
    case "info":
      return (await import("./commands/info.ts")).run(invocation.options);
    case "reproduce":
      return (await import("./commands/reproduce.ts")).run(invocation.options, context);
    case "doctor":
      return (await import("./commands/doctor.ts")).run(invocation.options);
  }
}

/** Says what went wrong; returns the exit code. */
async function leave(thrown: unknown): Promise<number> {
  const error = asOwnError(thrown);
  if (error instanceof TextWanted) {
    return writeStdout(error.message).then(() => exitCodes.ok, leave);
  }
  if (error instanceof UsageWanted) {
    process.stderr.write(error.message);
    return exitCodes.usage;
  }
  if (error instanceof BrokenPipe) return exitCodes.brokenPipe;
  const interrupted = interruption.exitCode();
  if (interrupted !== undefined) return interrupted;
  process.stderr.write(formatError(error, { json: flags.includes("--json"), debug: flags.includes("--debug") }));
  return exitCodeOf(error);
}

/** True where Dawn will be loaded and a program reads stdout. */
function wantsCleanStdout({ command, options }: Invocation): boolean {
  if (command === "txt2img" || command === "img2img" || command === "inpaint" || command === "upscale" || command === "grid")
    return options.json || options.output === "-";
  return options.json && ["repl", "trace", "plan", "doctor", "reproduce"].includes(command);
}
