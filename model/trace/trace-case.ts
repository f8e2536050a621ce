/** @file What `limn trace` walks: recorded tensors, and cases that compute the same tensor ours. */

/** A cases file, whatever it was read with. */
export interface RecordedTensors {
  readonly metadata: Readonly<Record<string, string>>;
  /** Every tensor's name and shape. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** The values of one tensor, row-major, as float32. */
  read(name: string): Promise<Float32Array>;
}

/** One recorded tensor that we can compute. */
export interface TraceCase {
  readonly name: string;
  run(): Promise<Float32Array>;
}

/** Cases of a file, and the recorded results that limn can't compute (yet). Inputs are in neither. */
export interface TraceCases {
  readonly cases: readonly TraceCase[];
  readonly skipped: readonly string[];
}

/** Our values of one recorded tensor, in the file's layout. */
export interface Computed {
  /** Its name in the file. */
  readonly name: string;
  readonly values: ArrayLike<number>;
}

/** The part of a file whose names fit a pattern. */
export function only(recorded: RecordedTensors, pattern: RegExp): RecordedTensors {
  return { ...recorded, shapes: new Map([...recorded.shapes].filter(([name]) => pattern.test(name))) };
}

/** Recorded contexts of all prompts: SDXL, SD 2, SD 1. */
export const contextNames: readonly string[] = ["context", "open.context", "text.last"];
