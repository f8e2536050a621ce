/** @file From argv to a checked record. commander does the parsing and the help, the checks are ours. */
import { type Command, CommanderError } from "commander";
import { UsageError } from "../../engine/errors.ts";
import { editDistance, nearestName } from "../../model/sampling/nearest-name.ts";
import { img2imgSyntax, inpaintSyntax } from "./from-picture.ts";
import { gridSyntax } from "./grid.ts";
import { infoSyntax, reproduceSyntax } from "./metadata.ts";
import { optionName } from "./option-names.ts";
import type { Invocation } from "./options.ts";
import { doctorSyntax, inspectSyntax, kernelSyntax, promptSyntax, tokenizeSyntax, traceSyntax } from "./others.ts";
import { expectPaths } from "./paths.ts";
import { planSyntax } from "./plan.ts";
import { replSyntax } from "./repl.ts";
import type { Syntax } from "./shared.ts";
import { stylesSyntax } from "./styles.ts";
import { txt2imgSyntax } from "./txt2img.ts";
import { upscaleSyntax } from "./upscale.ts";

/** Thrown for --help and --version: text for stdout, and no error. */
export class TextWanted extends Error {}

/** Called without anything: the usage goes to stderr (exit 2). */
export class UsageWanted extends Error {}

type CommandName = Invocation["command"];

const commands: Readonly<Record<CommandName, () => Syntax>> = {
  txt2img: txt2imgSyntax,
  img2img: img2imgSyntax,
  inpaint: inpaintSyntax,
  grid: gridSyntax,
  repl: replSyntax,
  styles: stylesSyntax,
  upscale: upscaleSyntax,
  inspect: inspectSyntax,
  tokenize: tokenizeSyntax,
  prompt: promptSyntax,
  kernel: kernelSyntax,
  trace: traceSyntax,
  plan: planSyntax,
  info: infoSyntax,
  reproduce: reproduceSyntax,
  doctor: doctorSyntax,
};

/**
 * Parses what follows `node main.js`.
 * @throws UsageError INVALID_<OPTION>, UNKNOWN_OPTION, MISSING_VALUE, UNEXPECTED_VALUE, MISSING_ARGUMENT,
 *   TOO_MANY_ARGUMENTS, EMPTY_PATH, PROMPT_TOO_LONG, OPTIONS_CONFLICT; TextWanted; UsageWanted
 */
export function parseArguments(argv: readonly string[], version: string): Invocation {
  const { name, rest } = findCommand(argv);
  const { command, finish } = commands[name]();
  command
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: false, styleTitle: (title) => title })
    .configureOutput({ writeOut: keep, writeErr: () => undefined })
    .exitOverride();
  if (name === "txt2img") command.version(version, "-V, --version", "show the version");
  let text = "";
  function keep(part: string): void {
    text += part;
  }
  if (argv.length === 0) {
    command.outputHelp();
    throw new UsageWanted(text);
  }
  try {
    command.parse(rest, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) throw new TextWanted(text);
    throw explain(error, name, command);
  }
  expectPaths(command);
  return finish(rest);
}

/** The command is the first argument, or stands behind flags that every command has; anything else is a prompt for txt2img. */
function findCommand(argv: readonly string[]): { name: CommandName; rest: string[] } {
  const flags = new Set(["--json", "-q", "--quiet", "--verbose", "--debug"]);
  const at = argv.findIndex((argument) => !flags.has(argument));
  const first = argv[at];
  if (first === "help") {
    const topic = argv[at + 1];
    if (topic === undefined) return { name: "txt2img", rest: ["--help"] };
    if (argv.length === at + 2 && isCommand(topic)) return { name: topic, rest: ["--help"] };
  }
  if (first !== undefined && isCommand(first)) return { name: first, rest: argv.filter((_, index) => index !== at) };
  return { name: "txt2img", rest: [...argv] };
}

function isCommand(word: string): word is CommandName {
  return Object.hasOwn(commands, word);
}

/** commander's error in our words and with our codes. */
function explain(error: CommanderError, name: CommandName, command: Command): UsageError {
  const [first = "", suggestion = ""] = error.message.replace(/^error: /, "").split("\n");
  const meant = /Did you mean (?:one of )?(.+)\?/.exec(suggestion)?.[1];
  const lookUp = name === "txt2img" ? "see limn --help" : `see limn ${name} --help`;
  const quoted = /'([^']*)'/.exec(first)?.[1] ?? "";
  switch (error.code) {
    case "commander.unknownOption": {
      const option = quoted.replace(/=.*/s, "");
      if (quoted !== option && command.options.some(({ long }) => long === option)) {
        return new UsageError("UNEXPECTED_VALUE", `${option} takes no value`, {
          hint: `write ${option} alone`,
          context: { option },
        });
      }
      return new UsageError("UNKNOWN_OPTION", `there is no option ${option}`, {
        hint: elsewhere(option, command) ?? ofAnotherCommand(option) ?? (meant ? `did you mean ${meant}?` : lookUp),
        context: { option },
      });
    }
    case "commander.optionMissingArgument":
      return new UsageError("MISSING_VALUE", `${quoted.replace(/^-\w, /, "").replace(/ <.*/, "")}: the value is missing`, {
        hint: lookUp,
      });
    case "commander.missingArgument":
      return new UsageError("MISSING_ARGUMENT", `there is no ${quoted}`, {
        hint: quoted === "prompt" ? 'limn "a red fox" --seed 3' : lookUp,
      });
    case "commander.excessArguments":
      return new UsageError(
        "TOO_MANY_ARGUMENTS",
        first.replace(/^too many arguments.*?Expected (\d+) arguments? but got (\d+)\.?$/, (_, taken: string, given: string) =>
          tooMany(command, Number(taken), Number(given)),
        ),
        {
          hint:
            misspelt(name, command) ?? (takesText(command) ? 'put a text of several words in quotes: limn "a red fox"' : lookUp),
        },
      );
    case "commander.invalidArgument": {
      const option = /option '(?:-\w, )?--([\w-]+)/.exec(first)?.[1] ?? "option";
      const value = /argument '([^']*)' is invalid/.exec(first)?.[1] ?? "";
      const allowed = /is invalid\. (.*)$/.exec(first)?.[1] ?? lookUp;
      return new UsageError(
        `INVALID_${option.toUpperCase().replaceAll("-", "_")}`,
        `--${option}: ${JSON.stringify(value)} is not one of its values`,
        {
          hint: allowed,
          context: { option, value },
        },
      );
    }
    default:
      return new UsageError("USAGE", first, { hint: lookUp });
  }
}

/** Whether what stands beside the options is a text, of which each word without quotes would be one of its own. */
function takesText({ registeredArguments }: Command): boolean {
  return registeredArguments.some((argument) => /^(prompt|text)$/.test(argument.name()));
}

/** "3 texts are given, 1 is taken", "1 argument is given, none is taken" */
function tooMany(command: Command, taken: number, given: number): string {
  const word = takesText(command) ? "text" : "argument";
  return `${given === 1 ? `1 ${word} is` : `${given} ${word}s are`} given, ${taken === 0 ? "none" : taken} is taken`;
}

/** The hint for an option that another command has: --init without img2img, --x without grid. */
function ofAnotherCommand(option: string): string | undefined {
  const name = Object.keys(commands).find(
    (one) => isCommand(one) && commands[one]().command.options.some(({ long }) => long === option),
  );
  return name === undefined ? undefined : `limn ${name} takes it: see limn ${name} --help`;
}

/** The hint for a command's name with a typo: its first letters make a prompt of it, and what follows is one text too many. */
function misspelt(name: CommandName, { args: [first = ""] }: Command): string | undefined {
  const nearest = nearestName(first, Object.keys(commands));
  const few = nearest !== undefined && editDistance(first, nearest) <= 2 && first.length > 3;
  return name === "txt2img" && few
    ? `did you mean limn ${nearest}? A text of several words goes in quotes: limn "a red fox"`
    : undefined;
}

/** The hint for an option that another program has by this name. */
function elsewhere(option: string, command: Command): string | undefined {
  const plain = option.replace(/^-+/, "");
  const ours = optionName(plain);
  return ours !== plain && command.options.some(({ long }) => long === `--${ours}`) ? `limn calls it --${ours}` : undefined;
}
