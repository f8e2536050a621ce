/** @file A model in shards: an index that says which file each tensor is in (huggingface transformers and diffusers). */
import { LimnError, ModelFileError } from "../../engine/errors.ts";
import type { ByteSource } from "./byte-source.ts";
import { maxTensors } from "./header-scanner.ts";
import { JoinedSource, moved } from "./joined-source.ts";
import { JsonScanner } from "./json-scanner.ts";
import { openTensors } from "./open-tensors.ts";
import { printable } from "./printable.ts";
import { defaultMaxHeader, type SafetensorsFile, type SafetensorsOptions, type TensorEntry } from "./safetensors.ts";

/** Opens a file that stands beside the index. */
export type OpenBeside = (name: string) => Promise<ByteSource>;

const maxShards = 1000;
const again = "download the folder again";

/**
 * Opens every shard that an index names, and gives their tensors as one file.
 * @throws ModelFileError SHARD_NAME, SHARD_COUNT, SHARD_MISSING, SHARD_TENSOR, SHARD_INDEX, and those of openTensors
 */
export async function openShards(
  index: ByteSource,
  openBeside: OpenBeside,
  options: SafetensorsOptions = {},
): Promise<SafetensorsFile> {
  const shardOf = await readIndex(index);
  const names = [...new Set(shardOf.values())];
  const shards: { name: string; file: SafetensorsFile }[] = [];
  for (const name of names) shards.push({ name, file: await openShard(index, name, openBeside, options) });
  const source = new JoinedSource(
    index.name,
    shards.map(({ file }) => file.source),
  );
  const places = new Map(shards.map((shard, at) => [shard.name, { ...shard, offset: source.begin(at) }]));
  const tensors = new Map<string, TensorEntry>();
  for (const [tensor, shard] of shardOf) {
    const { file, offset } = places.get(shard)!;
    const entry = file.tensors.get(tensor);
    if (entry === undefined) {
      const other = shards.find((one) => one.file.tensors.has(tensor))?.name;
      refuse(
        "SHARD_TENSOR",
        index,
        `tensor "${printable(tensor)}" is not in ${shard}, ${other === undefined ? "nor in another shard" : `but in ${other}`}`,
        `index and shards are of different models: ${again}`,
        { tensor: printable(tensor), shard },
      );
    }
    tensors.set(tensor, moved(entry, offset));
  }
  const metadata = new Map(shards.toReversed().flatMap(({ file }) => [...file.metadata])); // the first shard's word counts
  return { source, metadata, tensors, headerBytes: shards.reduce((sum, { file }) => sum + file.headerBytes, 0) };
}

/** True for the start of a JSON file: as the length of a header, these bytes would be far too large a number. */
export function looksLikeJson(start: Uint8Array): boolean {
  return start.length >= 8 && start[0] === 0x7b && start.subarray(0, 8).every((byte) => byte >= 9);
}

/** Shard by tensor, in the index's order. */
async function readIndex(index: ByteSource): Promise<Map<string, string>> {
  if (index.size > defaultMaxHeader) {
    refuse("SHARD_INDEX", index, `an index of ${index.size} bytes, the limit is ${defaultMaxHeader}`, again);
  }
  const text = new TextDecoder().decode(await index.read(0, index.size));
  const json: JsonScanner = new JsonScanner(text, index.name, { what: "index", begin: 0 });
  const shardOf = new Map<string, string>();
  let mapped = false;
  json.object(1, (key) => {
    if (key !== "weight_map") return json.skip(2);
    if (mapped) json.duplicate(key);
    mapped = true;
    json.object(2, (tensor) => {
      if (shardOf.has(tensor)) json.duplicate(tensor);
      if (json.peek() !== '"') json.fail("SHARD_INDEX", `the shard of "${printable(tensor)}" is not a string`);
      if (shardOf.size === maxTensors) json.fail("SHARD_COUNT", `more than ${maxTensors} tensors`);
      shardOf.set(tensor, json.string());
    });
  });
  json.end();
  if (!mapped) {
    throw new ModelFileError("NOT_SAFETENSORS", `${index.name}: this is a JSON file without a weight_map, not a model`, {
      hint: "pass the model's .safetensors file, its shard index, or the folder with model_index.json",
      context: { file: index.name, found: "a JSON file" },
    });
  }
  const names = new Set(shardOf.values());
  if (names.size > maxShards) refuse("SHARD_COUNT", index, `${names.size} shards, at most ${maxShards} are read`, again);
  for (const name of names) {
    // A name with a path in it could reach any file of the machine.
    if (/^[\w.-]+$/.test(name) && /\.(safetensors|bin)$/.test(name)) continue;
    refuse(
      "SHARD_NAME",
      index,
      `"${printable(name)}" is no name of a .safetensors or .bin file in the index's own folder`,
      again,
      {
        shard: printable(name),
      },
    );
  }
  return shardOf;
}

async function openShard(
  index: ByteSource,
  name: string,
  openBeside: OpenBeside,
  options: SafetensorsOptions,
): Promise<SafetensorsFile> {
  try {
    return await openTensors(await openBeside(name), options);
  } catch (error) {
    if (!(error instanceof LimnError && error.code === "FS_NOT_FOUND")) throw error;
    return refuse("SHARD_MISSING", index, `shard ${name} is missing`, `put it beside the index, or ${again}`, { shard: name });
  }
}

function refuse(
  code: string,
  index: ByteSource,
  fact: string,
  hint: string,
  context: Readonly<Record<string, unknown>> = {},
): never {
  throw new ModelFileError(code, `${index.name}: ${fact}`, { hint, context: { file: index.name, ...context } });
}
