/** @file Errors as the user sees them: two lines, or one line of JSON. */
import { FileSystemError, LimnError, UsageError } from "../../engine/errors.ts";

/** What is wrong, in a form that both people and programs get. */
export interface ErrorReport {
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly context: Readonly<Record<string, unknown>>;
}

/**
 * What others threw, and is no fault of limn's: the tokenizer imports nothing, so what it says about a prompt is a RangeError with a
 * code; and Node finds no path where the folder that limn runs in was removed. Everything else comes back as it is.
 */
export function asOwnError(error: unknown): unknown {
  if (error instanceof Error && "syscall" in error && error.syscall === "uv_cwd") {
    return new FileSystemError("FS_NO_FOLDER", "the folder that limn was started in is not there any more", {
      hint: "change to a folder that is there: cd",
      cause: error,
    });
  }
  if (!(error instanceof RangeError) || !("code" in error) || !/^(INVALID_)?PROMPT_/.test(String(error.code))) return error;
  return new UsageError(String(error.code), error.message, { hint: "change the prompt; see docs/errors.md", cause: error });
}

/** Any thrown value as a report; what limn did not throw on purpose is a bug and gets the code INTERNAL. */
export function reportOf(error: unknown): ErrorReport {
  if (error instanceof LimnError) {
    return { code: error.code, message: error.message, hint: error.hint ?? "see docs/errors.md", context: error.context };
  }
  return {
    code: "INTERNAL",
    message: error instanceof Error ? error.message : String(error),
    hint: "this is a fault in limn: run again with --debug and report what it prints",
    context: {},
  };
}

/** `error[CODE]: ...` and `hint: ...`, or with `json` one line with code, message, hint and context. */
export function formatError(error: unknown, { json, debug }: { readonly json: boolean; readonly debug: boolean }): string {
  const { code, message, hint, context } = reportOf(error);
  const trace = debug && error instanceof Error ? `${withCauses(error)}\n` : "";
  if (json) return `${trace}${JSON.stringify({ code, message, hint, context }, jsonValue)}\n`;
  return `${trace}error[${code}]: ${oneLine(message)}\nhint: ${oneLine(hint)}\n`;
}

/** Text from files and drivers may hold line breaks and terminal escapes: those are shown, not obeyed. */
export function oneLine(text: string): string {
  return text.replace(/\s*[\r\n]+\s*/g, " | ").replace(/\p{Cc}/gu, (character) => {
    return `\\u${character.codePointAt(0)!.toString(16).padStart(4, "0")}`;
  });
}

/** JSON has no bigint, and the seeds above 2^53 would not survive as numbers. */
export function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function withCauses(error: Error): string {
  const stack = error.stack ?? error.message;
  return error.cause instanceof Error ? `${stack}\ncaused by ${withCauses(error.cause)}` : stack;
}
