/** @file `limn repl`: a picture for each line, with the model kept loaded. From a terminal, or from a pipe as a script. */
import { createInterface } from "node:readline";
import { UsageError } from "../../engine/errors.ts";
import { nearestName } from "../../model/sampling/index.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { checkPicture } from "../pictures/check-picture.ts";
import { makePictures } from "../pictures/make-pictures.ts";
import type { RunningNumbers } from "../pictures/places.ts";
import { lineWords } from "../pictures/prompt-list.ts";
import { Session } from "../pictures/session.ts";
import { type MadePicture, pictureRecord } from "../pictures/summary.ts";
import { ReplSettings } from "../repl/settings.ts";
import { anyPictureSyntax } from "../syntax/grid.ts";
import { optionName } from "../syntax/option-names.ts";
import type { CommandContext, ReplOptions } from "../syntax/options.ts";
import { asOwnError, formatError, oneLine } from "../terminal/error-text.ts";
import { exitCodeOf, exitCodes } from "../terminal/exit-codes.ts";
import { BrokenPipe, writeStdout } from "../terminal/stdout.ts";

const help = `a line               a picture of it; or options as on the command line: --prompt "a fox" --steps 8
:set NAME VALUE      change an option from now on: :set steps 30, :set sampler euler_a, :set negative blurry
:unset NAME          back to what it was
:show                what is set
:model FILE          change the model (:set model FILE)
:seed [NUMBER]       the last picture's seed, or one for all pictures from now on; -1 draws again
:again               the last line once more; with another seed unless one is set
:help, :quit         Ctrl-C stops a picture, Ctrl-D leaves
`;

const commands = ["set", "unset", "show", "model", "seed", "again", "help", "quit"];

/** Errors are said and don't end it; with a pipe the exit code is the first one's. @throws BrokenPipe; the signal's reason */
export async function run(options: ReplOptions, context: CommandContext): Promise<void> {
  const interactive = process.stdin.isTTY === true && process.stderr.isTTY === true;
  // Pictures are told of on stdout, one line each; all else is on stderr.
  const lines = createInterface({
    input: process.stdin,
    ...(interactive ? { output: process.stderr } : {}),
    terminal: interactive,
    prompt: "limn> ",
  });
  const repl = new Repl(options, context);
  let interrupted = false;
  const stop = (): void => {
    if (repl.stop()) return;
    if (interactive) {
      process.stderr.write("\n(:quit or Ctrl-D leaves)\n");
      lines.prompt();
    } else {
      interrupted = true;
      lines.close();
    }
  };
  const release = context.takeInterrupts?.(stop);
  lines.on("SIGINT", stop);
  context.signal.addEventListener("abort", () => lines.close());
  try {
    if (interactive) process.stderr.write("a prompt makes a picture; :help tells more\n");
    if (interactive) lines.prompt();
    for await (const line of lines) {
      const goesOn = await repl.read(line.trim());
      context.signal.throwIfAborted();
      if (!goesOn) break;
      if (interactive) lines.prompt();
    }
    context.signal.throwIfAborted();
  } finally {
    release?.();
    lines.close();
    await repl.close();
  }
  if (interrupted) process.exitCode = exitCodes.interrupted;
  else if (!interactive && repl.firstError !== undefined) process.exitCode = exitCodeOf(repl.firstError);
}

class Repl {
  readonly #options: ReplOptions;
  readonly #signal: AbortSignal;
  readonly #session: Session;
  readonly #settings: ReplSettings;
  readonly #tokenizer = new ClipTokenizer();
  readonly #running: RunningNumbers = new Map();
  #current: AbortController | undefined;
  #last: { readonly line: string; readonly seed?: bigint } | undefined;
  firstError: unknown;

  constructor(options: ReplOptions, context: CommandContext) {
    this.#options = options;
    this.#signal = context.signal;
    this.#session = new Session(options.picture, context);
    this.#settings = new ReplSettings(options.line);
  }

  /** Stops the picture that is being made; false if there is none. */
  stop(): boolean {
    this.#current?.abort();
    return this.#current !== undefined;
  }

  /** Does what a line says; false where it says to leave. */
  async read(line: string): Promise<boolean> {
    try {
      if (line === "" || line.startsWith("#")) return true;
      if (!line.startsWith(":")) await this.#make(line);
      else if (/^:(q|quit|exit)$/i.test(line)) return false;
      else await this.#command(line);
    } catch (thrown) {
      const error = asOwnError(thrown);
      if (error instanceof BrokenPipe || this.#signal.aborted) throw error;
      this.#session.progress.clear();
      process.stderr.write(formatError(error, this.#options));
      this.firstError ??= error;
    }
    return true;
  }

  async close(): Promise<void> {
    await this.#session.close();
  }

  async #command(line: string): Promise<void> {
    const [, name = "", rest = ""] = /^:\s*(\S+)\s*(.*)$/s.exec(line) ?? [];
    const [, option = "", value = ""] = /^(\S+)\s*(.*)$/s.exec(rest) ?? [];
    switch (name.toLowerCase()) {
      case "set":
        return rest === "" ? this.#show() : this.#set(option, unquoted(value));
      case "unset":
        return this.#settings.unset(option);
      case "show":
        return this.#show();
      case "model":
        return rest === "" ? this.#show() : this.#set("model", unquoted(rest));
      case "seed":
        return rest === "" ? this.#sayLastSeed() : this.#set("seed", rest);
      case "again":
        if (this.#last) return this.#make(this.#last.line);
        throw new UsageError("NOTHING_BEFORE", "there is no picture to make again", { hint: "write a prompt first" });
      case "help":
        process.stderr.write(help);
        return;
      default:
        throw unknownCommand(name, rest);
    }
  }

  /** A model that isn't there is not waited for until the next picture. */
  async #set(option: string, value: string): Promise<void> {
    const takeBack = this.#settings.set(option, value);
    try {
      await this.#session.openFiles(this.#settings.options(["--prompt="]));
    } catch (error) {
      takeBack();
      throw error;
    }
  }

  async #make(line: string): Promise<void> {
    const picture = this.#settings.options(lineWords(line));
    if (picture.output === "-") {
      throw new UsageError("OPTIONS_CONFLICT", "repl: --output - has no place: stdout tells of the pictures", {
        hint: "write to files",
      });
    }
    this.#last = { ...this.#last, line };
    checkPicture(picture, this.#tokenizer);
    const current = new AbortController();
    this.#current = current;
    try {
      const start = performance.now();
      const signal = AbortSignal.any([current.signal, this.#signal]);
      const images = await makePictures(this.#session, [picture], { signal, numbers: this.#numbers() });
      const seed = images.at(-1)?.seed;
      this.#last = { line, ...(seed === undefined ? {} : { seed }) };
      await this.#report(images, (performance.now() - start) / 1000);
    } catch (error) {
      if (!current.signal.aborted || this.#signal.aborted) throw error;
      this.#session.progress.clear();
      process.stderr.write("stopped\n");
    } finally {
      this.#current = undefined;
    }
  }

  /** Names that are not of one line alone: every picture would have them. */
  #numbers(): RunningNumbers {
    const { output, saveLatent } = this.#settings.options(["--prompt="]);
    for (const name of [output, saveLatent]) if (name !== undefined) this.#running.set(name, this.#running.get(name) ?? 0);
    return this.#running;
  }

  async #report(images: readonly MadePicture[], seconds: number): Promise<void> {
    const rounded = Math.round(seconds * 1000) / 1000;
    const told = images.map(({ path, width, height, seed }) => `${path}  ${width}x${height}, seed ${seed}\n`).join("");
    const { json } = this.#options;
    await writeStdout(json ? `${JSON.stringify({ images: images.map(pictureRecord), seconds: rounded })}\n` : told);
    if (!json) this.#session.progress.note(`${seconds.toFixed(1)} s`);
  }

  #show(): void {
    const { model, seed } = { model: this.#settings.options(["--prompt="]).model, seed: this.#last?.seed };
    const set = this.#settings.words.map((word) => `set       ${oneLine(word.replace(/^--/, "").replace("=", " "))}\n`).join("");
    const last = this.#last ? `last      ${oneLine(this.#last.line)}${seed === undefined ? "" : `, seed ${seed}`}\n` : "";
    process.stderr.write(`model     ${model ?? "the small one that comes with limn"}\n${set}${last}`);
  }

  #sayLastSeed(): void {
    const seed = this.#last?.seed;
    process.stderr.write(seed === undefined ? "no picture yet\n" : `${seed}\n`);
  }
}

function unknownCommand(name: string, rest: string): UsageError {
  const option = optionName(name);
  const isOption = anyPictureSyntax().command.options.some(({ long }) => long === `--${option}`);
  const meant = isOption ? `set ${option}${rest === "" ? " VALUE" : ` ${rest}`}` : nearestName(name, commands);
  return new UsageError("UNKNOWN_COMMAND", `there is no command :${name}`, {
    hint: `${meant === undefined ? "" : `did you mean :${meant}? `}:help lists them`,
  });
}

function unquoted(text: string): string {
  const trimmed = text.trim();
  return /^(["']).*\1$/s.test(trimmed) && trimmed.length > 1 ? trimmed.slice(1, -1) : trimmed;
}
