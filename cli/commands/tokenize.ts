/** @file `limn tokenize`: token ids of a text, or of every string in a JSON file. */
import { UsageError } from "../../engine/errors.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { readTextFile } from "../files/text-file.ts";
import type { TokenizeOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** Bytes of a file that programs write: below what one string of JavaScript holds. */
const mostBytes = 256 << 20;

/** @throws UsageError INVALID_FILE, TEXT_FILE, PROMPT_TOO_LONG; FileSystemError those of `openFile` */
export async function run({ text, file, json }: TokenizeOptions): Promise<void> {
  const tokenizer = new ClipTokenizer();
  if (file !== undefined) {
    const ids = (await readStrings(file)).map((one) => encode(tokenizer, one));
    await writeStdout(json ? `${JSON.stringify(ids)}\n` : ids.map((one) => `${one.join(" ")}\n`).join(""));
    return;
  }
  const ids = encode(tokenizer, text ?? "");
  await writeStdout(json ? `${JSON.stringify(ids)}\n` : table(tokenizer, ids));
}

/** One token a line, with the text that it stands for. */
function table(tokenizer: ClipTokenizer, ids: readonly number[]): string {
  const rows = ids.map((id) => `${String(id).padStart(5)}  ${JSON.stringify(tokenizer.decode([id]))}\n`);
  return `${rows.join("")}${ids.length} ${ids.length === 1 ? "token" : "tokens"}\n`;
}

function encode(tokenizer: ClipTokenizer, text: string): number[] {
  try {
    return tokenizer.encode(text);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new UsageError("PROMPT_TOO_LONG", error.message, { hint: "shorten the text", cause: error });
  }
}

/** The strings of a JSON file. @throws UsageError INVALID_FILE, TEXT_FILE; FileSystemError those of `openFile` */
export async function readStrings(path: string): Promise<string[]> {
  const content = parse(path, await readTextFile(path, "file", mostBytes));
  if (Array.isArray(content) && content.every((one) => typeof one === "string")) return content;
  throw invalid(path, "it is not a JSON array of strings");
}

function parse(path: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(path, error instanceof Error ? error.message : String(error));
  }
}

function invalid(path: string, fact: string): UsageError {
  return new UsageError("INVALID_FILE", `--file ${path}: ${fact}`, {
    hint: 'it should look like ["a red fox", "a house"]',
    context: { path },
  });
}
