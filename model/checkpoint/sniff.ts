/** @file What a file really is that was given as a checkpoint and isn't one: the commonest mistakes by their first bytes. */

export interface ForeignFile {
  readonly what: string;
  readonly hint: string;
}

const convert = "get or convert the .safetensors version";
const notHere = "models and add-ons may be files by torch.save, but here only a .safetensors file is read";
const download = "the download went wrong: download the file itself again";

function startsWith(bytes: Uint8Array, ...start: readonly number[]): boolean {
  return start.every((byte, index) => bytes[index] === byte);
}

/** Names the real type of `start`, the first bytes of a file (64 or so), or undefined. */
export function sniff(start: Uint8Array): ForeignFile | undefined {
  const text = String.fromCharCode(...start.subarray(0, 64));
  const trimmed = text.trimStart().toLowerCase();
  if (startsWith(start, 0x50, 0x4b, 0x03, 0x04) || startsWith(start, 0x50, 0x4b, 0x05, 0x06)) {
    return { what: "a zip archive (a PyTorch .ckpt, .pt or .bin)", hint: notHere };
  }
  if (start[0] === 0x80 && (start[1] ?? 0) >= 2 && (start[1] ?? 0) <= 5) {
    return { what: "a Python pickle that torch.save did not write", hint: convert };
  }
  if (text.startsWith("GGUF")) {
    return { what: "a GGUF file", hint: "get the .safetensors version: GGUF is not read" };
  }
  if (text.startsWith("version https://git-lfs")) {
    return {
      what: "a Git LFS pointer, not the file it stands for",
      hint: "run `git lfs pull` in its repository, or download the file itself",
    };
  }
  if (["<!doctype", "<html", "<htm", "<?xml", "<head"].some((tag) => trimmed.startsWith(tag))) {
    return { what: "a web page", hint: download };
  }
  // A header length may begin with the byte of "{", but its upper bytes are zero.
  if (/^\s*\{\s*"/.test(text) && !text.slice(0, 8).includes("\0")) {
    return { what: "a JSON file", hint: "pass the model's .safetensors file, not its configuration or shard index" };
  }
  if (startsWith(start, 0x89, 0x48, 0x44, 0x46)) return { what: "an HDF5 file", hint: "get the .safetensors version" };
  if (startsWith(start, 0x1f, 0x8b)) return { what: "a gzip archive", hint: "unpack it first" };
  if (startsWith(start, 0x37, 0x7a, 0xbc, 0xaf)) return { what: "a 7z archive", hint: "unpack it first" };
  if (startsWith(start, 0x89, 0x50, 0x4e, 0x47)) return { what: "a PNG picture", hint: "pass a .safetensors model" };
  return undefined;
}
