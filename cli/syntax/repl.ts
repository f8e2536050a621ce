/** @file The syntax of `limn repl`: the options of all its pictures. */
import { UsageError } from "../../engine/errors.ts";
import { anyPictureSyntax } from "./grid.ts";
import { describe, type Syntax, type Values } from "./shared.ts";

export function replSyntax(): Syntax {
  const { command, picture } = anyPictureSyntax({ promptWanted: false });
  command
    .name("limn repl")
    .usage("[options]")
    .description(
      "Make a picture for each line that is typed or piped in, with the model kept loaded. Lines that begin with a colon are commands: :help.",
    );
  // What a line holds has no place on the command line; commander lists no argument that has no description.
  for (const argument of command.registeredArguments) argument.description = "";
  for (const option of command.options) if (option.long === "--prompts") option.hideHelp();
  describe(
    command,
    "--output",
    "where to write the pictures, with numbers: fox.png is fox-1.png, ... (default: PROMPT-SEED.png)",
  );
  return {
    command,
    finish(words) {
      if (command.args.length > 0) {
        throw new UsageError("TOO_MANY_ARGUMENTS", "repl: a text is given, none is taken: prompts are typed or piped in", {
          hint: 'limn repl < prompts.txt, or for one picture: limn "a red fox"',
        });
      }
      const line = { command: "repl", words };
      const one = picture(line);
      if ((command.opts() as Values)["prompts"] !== undefined) {
        throw new UsageError("OPTIONS_CONFLICT", "repl: --prompts has no meaning here", { hint: "limn repl < prompts.txt" });
      }
      const { json, quiet, verbose, debug } = one;
      return { command: "repl", options: { json, quiet, verbose, debug, picture: one, line } };
    },
  };
}
