/** @file What a repl has been told with `:set`: options behind those of the command line, checked as they come. */
import { UsageError } from "../../engine/errors.ts";
import { optionName } from "../syntax/option-names.ts";
import type { CommandLine, PictureOptions, ReplOptions } from "../syntax/options.ts";
import { belongsToTheRun, vary } from "../syntax/vary.ts";

/** Options that are given several times; of all others the last one counts. */
const repeated = new Set(["lora", "lora-dir", "embedding-dir", "hypernet", "hypernet-dir", "style"]);

export class ReplSettings {
  readonly #line: CommandLine;
  #set: readonly { readonly name: string; readonly word: string }[] = [];

  constructor(line: CommandLine) {
    this.#line = line;
  }

  /** The words that were set, as they would stand on a command line. */
  get words(): readonly string[] {
    return this.#set.map(({ word }) => word);
  }

  /** "steps", "20"; an empty value switches an option without one on. The function returned takes it back. @throws UsageError those of `parseArguments`, and RUN_OPTION */
  set(written: string, value: string): () => void {
    const name = optionName(written.replace(/^--?/, ""));
    if (belongsToTheRun(`--${name}`)) {
      throw new UsageError("RUN_OPTION", `${name} can't be changed while limn runs`, { hint: "give it to limn repl itself" });
    }
    const word = value === "" || /^on$/i.test(value) ? `--${name}` : /^off$/i.test(value) ? `--no-${name}` : `--${name}=${value}`;
    const others = repeated.has(name) ? this.#set : this.#set.filter((one) => one.name !== name);
    const before = this.#set;
    this.#try([...others, { name, word }]);
    return () => {
      this.#set = before;
    };
  }

  /** Back to what the command line said. @throws UsageError NOT_SET */
  unset(written: string): void {
    const name = optionName(written.replace(/^--?/, ""));
    const others = this.#set.filter((one) => one.name !== name);
    if (others.length === this.#set.length) {
      throw new UsageError("NOT_SET", `${name || "nothing"} is not set`, { hint: ":show lists what is" });
    }
    this.#try(others);
  }

  /** Options of a picture: command line, settings, then these words. @throws UsageError those of `parseArguments` */
  options(words: readonly string[]): PictureOptions {
    return this.#parse([...this.words, ...words]);
  }

  #try(set: readonly { readonly name: string; readonly word: string }[]): void {
    this.#parse(set.map(({ word }) => word));
    this.#set = set;
  }

  #parse(words: readonly string[]): PictureOptions {
    return (vary(this.#line, words).options as ReplOptions).picture;
  }
}
