/**
 * @file Typed errors. Every failure that a user can cause or meet has a class (its kind decides the exit code of the
 * command), a stable code (documented in docs/errors.md) and a way out.
 */

/** Facts behind an error, for `--json` and for tests: numbers, names, offsets. */
export type ErrorContext = Readonly<Record<string, unknown>>;

export interface ErrorDetails {
  /** What to do about it, one line. */
  readonly hint?: string;
  readonly context?: ErrorContext;
  readonly cause?: unknown;
}

/** Base of all errors that limn throws on purpose. `code` is stable; the message is for people. */
export class LimnError extends Error {
  readonly code: string;
  readonly hint: string | undefined;
  readonly context: ErrorContext;

  constructor(code: string, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = details.hint;
    this.context = details.context ?? {};
  }
}

/** The caller asked for something that makes no sense: option, prompt, number (exit 2). */
export class UsageError extends LimnError {}
/** A model file is not what it should be (exit 3). */
export class ModelFileError extends LimnError {}
/** The file system says no: missing, exists, full, not permitted (exit 4). */
export class FileSystemError extends LimnError {}
/** No adapter, or one that lacks a needed feature or limit (exit 5). */
export class AdapterError extends LimnError {}
/** The GPU has no memory left for what was asked (exit 6). */
export class OutOfMemoryError extends LimnError {}
/** The device was lost, hung, or reported an error that nobody waited for (exit 7). */
export class DeviceError extends LimnError {}
/** NaN or infinity where a number should be (exit 8). */
export class NonFiniteError extends LimnError {}
/** The network or a server says no (exit 9). */
export class NetworkError extends LimnError {}
/** An input picture can't be read (exit 10). */
export class ImageError extends LimnError {}
/** An operation got shapes or types that don't fit together: a bug of the caller (exit 1). */
export class ShapeError extends LimnError {
  constructor(message: string, details: ErrorDetails = {}) {
    super("SHAPE", message, details);
  }
}
/** A WGSL module was refused by the driver (exit 1). */
export class ShaderError extends LimnError {}
