/** @file What is known of a checkpoint from earlier runs: stages whose numbers overflow in f16. */
import type { SafetensorsFile } from "./checkpoint/safetensors.ts";
import type { StageName } from "./stages.ts";

/** Kept by the caller from one process to the next. Failing to is no error: the stage overflows once more. */
export interface PrecisionMemory {
  /** The stages of this checkpoint that need f32. */
  recall(checkpoint: string): Promise<readonly string[]>;
  remember(checkpoint: string, stages: readonly StageName[]): Promise<void>;
}

/** Bytes of weights that are looked at: most merges of a family have the same header. */
const sampled = 64 * 1024;

/** A name for what a file holds: SHA-256 of its header and of the first and the last of its weights, in hex. */
export async function fingerprint({ source, tensors, metadata }: SafetensorsFile): Promise<string> {
  const all = [...tensors.values()];
  const header = new TextEncoder().encode(JSON.stringify([source.size, [...metadata], all]));
  const ends = all.map(({ end }) => end).reduce((a, b) => Math.max(a, b), 0);
  const begins = all.map(({ begin }) => begin).reduce((a, b) => Math.min(a, b), ends);
  const first = await source.read(begins, Math.min(ends, begins + sampled));
  const last = await source.read(Math.max(begins, ends - sampled), ends);
  const bytes = new Uint8Array(header.length + first.length + last.length);
  bytes.set(header);
  bytes.set(first, header.length);
  bytes.set(last, header.length + first.length);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
