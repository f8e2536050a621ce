/** @file Recorded outputs of the original implementations (../shared/fixtures, see its README), read without limn's own reader. */

import { existsSync, readFileSync } from "node:fs";
import type { RecordedTensors } from "../../model/trace/trace-case.ts";

const folder = new URL("../../../shared/fixtures/", import.meta.url);

/** Why tests on recorded files can't run here, or undefined if they can. */
export const missing = existsSync(folder)
  ? undefined
  : `no ${folder.pathname}: recorded outputs of the originals are not on this machine`;

export function recorded(file: string): RecordedTensors {
  const bytes = readFileSync(new URL(file, folder));
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const { __metadata__, ...entries } = JSON.parse(bytes.toString("utf8", 8, 8 + headerLength)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  > & { __metadata__: Record<string, string> };
  return {
    metadata: __metadata__,
    shapes: new Map(Object.entries(entries).map(([name, { shape }]) => [name, shape])),
    read: async (name) => {
      const [begin, end] = entries[name]!.data_offsets.map((offset) => 8 + headerLength + offset) as [number, number];
      return new Float32Array(Uint8Array.from(bytes.subarray(begin, end)).buffer);
    },
  };
}

/** max |a - b|, and the same over max |b|. */
export function compare(actual: ArrayLike<number>, expected: ArrayLike<number>): { maxAbsError: number; relativeError: number } {
  if (actual.length !== expected.length) throw new Error(`${actual.length} values against ${expected.length} recorded ones`);
  let [maxAbsError, largest] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    if (!(error <= maxAbsError)) maxAbsError = error;
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return { maxAbsError, relativeError: maxAbsError / largest };
}
