/** @file One file of tensors, in whichever of the two formats it is: safetensors, or what torch.save writes. */
import type { ByteSource } from "./byte-source.ts";
import { checkedSource } from "./checked-source.ts";
import { torchForm } from "./pickle/torch-archive.ts";
import { openTorch } from "./pickle/torch-file.ts";
import { openSafetensors, type SafetensorsFile, type SafetensorsOptions } from "./safetensors.ts";

/** Told apart by the first bytes, not by the name. @throws ModelFileError those of openSafetensors and of openTorch; UsageError INVALID_SOURCE */
export async function openTensors(given: ByteSource, options: SafetensorsOptions = {}): Promise<SafetensorsFile> {
  const source = checkedSource(given);
  const start = await source.read(0, Math.min(64, source.size));
  return torchForm(start) === undefined ? openSafetensors(source, options) : openTorch(source);
}
