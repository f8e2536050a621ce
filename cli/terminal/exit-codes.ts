/** @file Exit codes: what kind of failure it was, so that scripts can tell a bad model from a full disk. */
import {
  AdapterError,
  DeviceError,
  FileSystemError,
  ImageError,
  LimnError,
  ModelFileError,
  NetworkError,
  NonFiniteError,
  OutOfMemoryError,
  UsageError,
} from "../../engine/errors.ts";

/** The codes of the command; 1 stands for everything that should not have happened. */
export const exitCodes = {
  ok: 0,
  bug: 1,
  usage: 2,
  modelFile: 3,
  fileSystem: 4,
  adapter: 5,
  memory: 6,
  device: 7,
  nonFinite: 8,
  network: 9,
  image: 10,
  interrupted: 130,
  brokenPipe: 141,
  terminated: 143,
} as const;

// A class after those that derive from it, if any ever do.
const byClass = [
  [UsageError, exitCodes.usage],
  [ModelFileError, exitCodes.modelFile],
  [FileSystemError, exitCodes.fileSystem],
  [AdapterError, exitCodes.adapter],
  [OutOfMemoryError, exitCodes.memory],
  [DeviceError, exitCodes.device],
  [NonFiniteError, exitCodes.nonFinite],
  [NetworkError, exitCodes.network],
  [ImageError, exitCodes.image],
] as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof LimnError)) return exitCodes.bug;
  return byClass.find(([kind]) => error instanceof kind)?.[1] ?? exitCodes.bug;
}
