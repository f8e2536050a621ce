/**
 * @file `--prompts FILE`: each line a prompt, or options as A1111's script "prompts from file" has them. Every line is checked before
 * anything is loaded.
 */
import { LimnError, UsageError } from "../../engine/errors.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { readTextFile, readWhole } from "../files/text-file.ts";
import { optionName } from "../syntax/option-names.ts";
import type { CommandLine, Invocation, PictureOptions, PromptList } from "../syntax/options.ts";
import { belongsToTheRun, vary } from "../syntax/vary.ts";
import { splitWords } from "../syntax/words.ts";
import { asOwnError } from "../terminal/error-text.ts";
import { checkPicture } from "./check-picture.ts";

const mostLines = 10_000;

/** What a line asks for. */
export interface ListedPicture {
  readonly options: PictureOptions;
  /** Does something for it; an error then begins with file and line. */
  check(work: () => Promise<void>): Promise<void>;
}

/** Every line, its options checked. @throws UsageError with file and line in front; FileSystemError those of `openFile` */
export async function readPromptList({ file, line: base }: PromptList): Promise<ListedPicture[]> {
  const name = file === "-" ? "stdin" : file;
  const text = file === "-" ? await readWhole(process.stdin) : await readTextFile(file, "prompts");
  const lines = text.split(/\r\n|\n|\r/).map((line, index) => ({ line: line.trim(), number: index + 1 }));
  const wanted = lines.filter(({ line }) => line !== "" && !line.startsWith("#"));
  if (wanted.length === 0) {
    throw new UsageError("NO_PROMPTS", `--prompts: ${name} holds no prompt`, {
      hint: "write one a line; lines with # are left out",
    });
  }
  if (wanted.length > mostLines) {
    throw new UsageError("TOO_MANY_PROMPTS", `--prompts: ${name} holds ${wanted.length} lines, ${mostLines} are taken`, {
      hint: "split the file",
    });
  }
  const tokenizer = new ClipTokenizer();
  return Promise.all(
    wanted.map(async ({ line, number }) => ({
      options: await at(name, number, async () => parseLine(line, base, tokenizer)),
      check: (work) => at(name, number, work),
    })),
  );
}

function parseLine(line: string, base: CommandLine, tokenizer: ClipTokenizer): PictureOptions {
  const words = lineWords(line);
  const { options } = vary(base, words) as Extract<Invocation, { readonly command: "txt2img" | "img2img" | "inpaint" }>;
  if (!words.some((word) => word.startsWith("--prompt=")) && options.prompt === "") {
    throw new UsageError("MISSING_ARGUMENT", "the line has no --prompt, and the command neither", {
      hint: 'add --prompt "a red fox"',
    });
  }
  checkPicture(options, tokenizer);
  return options;
}

/** What a line says, in words of the command line: it is a prompt, or begins with a dash. @throws UsageError RUN_OPTION, UNCLOSED_QUOTE */
export function lineWords(line: string): string[] {
  return line.startsWith("-") ? optionWords(line) : [`--prompt=${line}`];
}

/** `--prompt a red fox --cfg_scale 7` -> limn's words. @throws UsageError RUN_OPTION, UNCLOSED_QUOTE */
function optionWords(line: string): string[] {
  const words = splitWords(line);
  const out: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (belongsToTheRun(word)) {
      throw new UsageError("RUN_OPTION", `${word} is for the whole run, not for one line`, {
        hint: "give it to the command itself",
      });
    }
    const [, written, value] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (written === undefined) {
      out.push(word);
      continue;
    }
    const name = optionName(written);
    if (name === "prompt" || name === "negative") {
      // As A1111 does: all words up to the next option, which here may be a short one too.
      const texts = value === undefined ? [] : [value];
      while (words[at + 1] !== undefined && !/^(--|-[bgHmnoqsW]$)/.test(words[at + 1]!)) texts.push(words[++at]!);
      out.push(`--${name}=${texts.join(" ")}`);
    } else if (name === "tiling" && /^(true|false|0|1)$/i.test(words[at + 1] ?? "")) {
      if (/^(true|1)$/i.test(words[++at]!)) out.push("--tiling");
    } else out.push(value === undefined ? `--${name}` : `--${name}=${value}`);
  }
  return out;
}

/** An error of this line says so. */
async function at<T>(file: string, line: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    const error = asOwnError(thrown);
    if (!(error instanceof LimnError)) throw error;
    const Kind = error.constructor as typeof UsageError; // all of them are made alike
    throw new Kind(error.code, `${file}, line ${line}: ${error.message}`, {
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      context: { ...error.context, file, line },
      cause: error,
    });
  }
}
