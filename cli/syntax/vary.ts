/** @file The same command line with more words: what a line of --prompts, a cell of a grid or `:set` changes. The last word on an option wins. */
import { packageVersion } from "../version.ts";
import { parseArguments } from "./arguments.ts";
import type { CommandLine, Invocation } from "./options.ts";

/** Options that belong to the whole run: the machine, and what is reported how. With their dashes. */
const ofTheRun = new Set(
  "--adapter --require-gpu --tier --precision --limit-binding --json -q --quiet --verbose --debug --prompts -h --help -V --version".split(
    " ",
  ),
);

export function belongsToTheRun(word: string): boolean {
  return ofTheRun.has(word.replace(/=.*$/s, ""));
}

/** @throws UsageError those of `parseArguments` */
export function vary({ command, words }: CommandLine, more: readonly string[]): Invocation {
  const dashes = words.indexOf("--");
  const end = dashes < 0 ? words.length : dashes;
  return parseArguments([command, ...words.slice(0, end), ...more, ...words.slice(end)], packageVersion);
}
