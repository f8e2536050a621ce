/** @file Latents and noise as safetensors files: one tensor, NCHW, for `--noise` and `--save-latent`. */
import { fromF16Bits, UsageError } from "../../engine/index.ts";
import { openSafetensors, type TensorEntry } from "../../model/checkpoint/safetensors.ts";
import { openFile } from "../files/file-source.ts";

/** The tensor of a `--noise` file. */
export interface NoiseFile {
  readonly path: string;
  /** Shape, as in the file: [1, 4, H/8, W/8]. */
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** @throws UsageError INVALID_NOISE; FileSystemError those of `openFile`; ModelFileError those of `openSafetensors` */
export async function readNoise(path: string): Promise<NoiseFile> {
  const source = await openFile(path);
  try {
    const { tensors } = await openSafetensors(source);
    const [entry] = tensors.values();
    if (!entry || tensors.size > 1)
      throw invalid(path, `the file holds ${tensors.size === 0 ? "no tensor" : `${tensors.size} tensors, not one`}`);
    const values = toFloats(path, entry, await source.read(entry.begin, entry.end));
    expectFinite(path, values);
    return { path, shape: entry.shape, values };
  } finally {
    await source.close();
  }
}

/** The values, if the noise fits a picture of this size. @throws UsageError INVALID_NOISE */
export function noiseFor({ path, shape, values }: NoiseFile, width: number, height: number): Float32Array {
  const expected = [1, 4, height / 8, width / 8];
  if (shape.join() === expected.join()) return values;
  throw invalid(path, `its tensor is [${shape.join(", ")}], a picture of ${width}x${height} needs [${expected.join(", ")}]`);
}

function toFloats(path: string, { dtype, shape }: TensorEntry, bytes: Uint8Array): Float32Array {
  // Copied: the bytes may start at an odd place, where no view of floats may.
  const { buffer } = Uint8Array.from(bytes);
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F16") return Float32Array.from(new Uint16Array(buffer), fromF16Bits);
  throw invalid(path, `its tensor [${shape.join(", ")}] is ${dtype}, not F32 or F16`);
}

/** Or the U-Net would be blamed for what it was given. */
function expectFinite(path: string, values: Float32Array): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  throw invalid(path, `value ${at} of ${values.length} is ${values[at]}, no finite number`);
}

/** A safetensors file with one F32 tensor. */
export function writeLatent(name: string, shape: readonly number[], values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const json = JSON.stringify({ [name]: { dtype: "F32", shape, data_offsets: [0, bytes.length] } });
  // Spaces bring the data to a multiple of 8, as the format's own writer does.
  const header = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, bytes]);
}

function invalid(path: string, fact: string): UsageError {
  return new UsageError("INVALID_NOISE", `--noise ${path}: ${fact}`, {
    hint: "give one tensor of unit noise [1, 4, height/8, width/8]",
    context: { path },
  });
}
