/** @file Text that a user wrote: a file or stdin, UTF-8, of a size that a person writes. */
import { UsageError } from "../../engine/errors.ts";
import { openFile } from "./file-source.ts";

/** Bytes that a person writes. */
const mostBytes = 16 << 20;

/**
 * A file of at most `most` bytes, without a byte order mark.
 * @throws FileSystemError those of `openFile`; UsageError TEXT_FILE
 */
export async function readTextFile(path: string, option: string, most = mostBytes): Promise<string> {
  const source = await openFile(path);
  try {
    if (source.size > most) throw invalid(option, path, `${source.size} bytes are above the limit of ${most}`);
    return decode(await source.read(0, source.size), option, path);
  } finally {
    await source.close();
  }
}

/** All of a stream. @throws UsageError TEXT_FILE */
export async function readWhole(stream: AsyncIterable<Uint8Array | string>): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of stream) {
    parts.push(Buffer.from(part));
    bytes += part.length;
    if (bytes > mostBytes) throw invalid("prompts", "stdin", `more than ${mostBytes} bytes`);
  }
  return decode(Buffer.concat(parts), "prompts", "stdin");
}

function decode(bytes: Uint8Array, option: string, path: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalid(option, path, "it is not text in UTF-8", error);
  }
}

function invalid(option: string, path: string, fact: string, cause?: unknown): UsageError {
  return new UsageError("TEXT_FILE", `--${option} ${path}: ${fact}`, {
    hint: "give a text file",
    context: { path },
    cause,
  });
}
