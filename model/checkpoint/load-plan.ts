/** @file In which order and in which ranges a checkpoint is read: forwards, at most 16 MiB at a time. */
import type { Tensor } from "../../engine/index.ts";
import { bytesOf, type WeightFileDType } from "./dtypes.ts";
import type { Layout } from "./permute.ts";
import type { TensorEntry } from "./safetensors.ts";

/** A tensor on the device and the tensors of the file that it is made of. */
export interface Target {
  readonly label: string;
  readonly tensor: Tensor;
  readonly dtype: "f16" | "f32";
  readonly layout: Layout;
  /** Several for a fused matrix: each fills its own columns. */
  readonly parts: readonly Part[];
  /** A matrix or convolution; vectors may well be all zero, and are f32 always. */
  readonly isMatrix: boolean;
}

export interface Part {
  readonly entry: TensorEntry;
  readonly dtype: WeightFileDType;
  /** Where the factor of all its elements stands, if the file keeps one beside 8-bit weights; and the factor, once read. */
  readonly scaleEntry?: TensorEntry | undefined;
  scale?: number | undefined;
  /** First device column. */
  readonly column: number;
}

/** Whole outputs of one part. */
export interface Piece {
  readonly target: Target;
  readonly part: Part;
  readonly firstOutput: number;
  readonly begin: number;
  readonly end: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
}

export interface Read {
  readonly begin: number;
  readonly end: number;
  readonly pieces: readonly Piece[];
}

export const maxRead = 16 * 1024 * 1024;
/** A gap up to this size costs less to read than a second read. */
const maxGap = 16 * 1024;

/** Targets in file order, each read to its end before the next begins: only one is in CPU memory at a time. */
export function planReads(targets: readonly Target[]): Read[] {
  const begin = (target: Target): number => Math.min(...target.parts.map((part) => part.entry.begin));
  const pieces = [...targets].sort((a, b) => begin(a) - begin(b)).flatMap(piecesOf);
  const reads: { begin: number; end: number; pieces: Piece[] }[] = [];
  for (const piece of pieces) {
    const read = reads.at(-1);
    const near = read !== undefined && piece.begin >= read.end && piece.begin - read.end <= maxGap;
    const aligned = read !== undefined && (piece.begin - read.begin) % bytesOf(piece.part.dtype) === 0;
    if (near && aligned && piece.end - read.begin <= maxRead) {
      read.end = piece.end;
      read.pieces.push(piece);
    } else {
      reads.push({ begin: piece.begin, end: piece.end, pieces: [piece] });
    }
  }
  return reads;
}

function piecesOf(target: Target): Piece[] {
  const parts = [...target.parts].sort((a, b) => a.entry.begin - b.entry.begin);
  const pieces = parts.flatMap((part) => {
    const { begin, end } = part.entry;
    const outputBytes = target.layout.inner * bytesOf(part.dtype);
    const most = Math.max(1, Math.floor(maxRead / outputBytes));
    const outputs = most < 8 ? Math.min(most, 4) : most - (most % 8); // they are taken four or eight at a time
    const count = Math.ceil((end - begin) / (outputs * outputBytes));
    return Array.from({ length: count }, (_, n) => ({
      target,
      part,
      firstOutput: n * outputs,
      begin: begin + n * outputs * outputBytes,
      end: Math.min(end, begin + (n + 1) * outputs * outputBytes),
    }));
  });
  return pieces.map((piece, index) => ({ ...piece, isFirst: index === 0, isLast: index === pieces.length - 1 }));
}
