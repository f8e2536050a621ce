/** @file Options and arguments that name files. */
import type { Command } from "commander";
import { UsageError } from "../../engine/errors.ts";

/**
 * A path of no letters is mostly a shell's variable that is not set; a file system would take it for the current folder.
 * @throws UsageError INVALID_OUTPUT, EMPTY_PATH
 */
export function expectPaths(command: Command): void {
  for (const option of command.options) {
    const value: unknown = /<(file|folder)>/.test(option.flags) ? command.getOptionValue(option.attributeName()) : undefined;
    if (value !== "" && !(Array.isArray(value) && value.includes(""))) continue;
    if (option.long === "--output") {
      throw new UsageError("INVALID_OUTPUT", "--output: the name is empty", { hint: "give a file name, or - for stdout" });
    }
    throw emptyPath(`${option.long}: the path is empty`, `name a file, or leave ${option.long} out`);
  }
  for (const [index, argument] of command.registeredArguments.entries()) {
    if (!/^(file|picture)$/.test(argument.name()) || command.args[index] !== "") continue;
    throw emptyPath(`${command.name().replace(/^limn /, "")}: the path of the ${argument.name()} is empty`, "name a file");
  }
}

function emptyPath(message: string, way: string): UsageError {
  return new UsageError("EMPTY_PATH", message, { hint: `${way}; is a shell variable not set?` });
}
