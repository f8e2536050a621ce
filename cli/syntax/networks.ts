/** @file The options for textual inversions and hypernetworks. */
import { type Command, Option } from "commander";
import { UsageError } from "../../engine/errors.ts";
import type { EmbeddingChoice } from "../addons/embeddings.ts";
import type { HypernetArgument, HypernetChoice } from "../addons/hypernetworks.ts";
import type { Values } from "./shared.ts";

/** Strengths are -10 to 10. */
const maxStrength = 10;

/** Given several times, all of them. */
const collected =
  <T>(read: (text: string) => T) =>
  (text: string, before: readonly T[] | undefined): readonly T[] => [...(before ?? []), read(text)];

export function embeddingDirOption(): Option {
  const option = new Option(
    "--embedding-dir <folder>",
    "a prompt may name the textual inversions in it by file name; may be given several times",
  );
  return option.argParser(collected(String));
}

export function addNetworkOptions(command: Command): void {
  command
    .addOption(embeddingDirOption())
    .addOption(
      new Option(
        "--hypernet <file[:strength]>",
        "put a hypernetwork into the attentions (default strength: 1); may be given several times",
      ).argParser(collected(parseHypernet)),
    )
    .addOption(
      new Option(
        "--hypernet-dir <folder>",
        "where <hypernet:NAME:0.8> in a prompt is looked up; may be given several times",
      ).argParser(collected(String)),
    );
}

export function embeddingValues(values: Values): EmbeddingChoice {
  return { embeddingDirs: (values["embeddingDir"] as readonly string[] | undefined) ?? [] };
}

export function networkValues(values: Values): EmbeddingChoice & HypernetChoice {
  return {
    ...embeddingValues(values),
    hypernets: (values["hypernet"] as readonly HypernetArgument[] | undefined) ?? [],
    hypernetDirs: (values["hypernetDir"] as readonly string[] | undefined) ?? [],
  };
}

/** "anime.pt:0.6": what stands behind the ending is the strength. @throws UsageError INVALID_HYPERNET */
export function parseHypernet(text: string): HypernetArgument {
  const [, named, behind] = /^(.*\.pt)(?::(.*))?$/is.exec(text) ?? [undefined, text, undefined];
  const value = behind === undefined ? 1 : /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)\s*$/.test(behind) ? Number(behind) : Number.NaN;
  if (named && Math.abs(value) <= maxStrength) return { path: named, strength: value };
  const shown = text.length > 200 ? `${text.slice(0, 200)}...` : text;
  const fact = named ? `has a strength that is no number from -${maxStrength} to ${maxStrength}` : "names no file";
  throw new UsageError("INVALID_HYPERNET", `--hypernet: ${JSON.stringify(shown)} ${fact}`, {
    hint: "such as anime.pt, or anime.pt:0.6",
    context: { option: "hypernet", value: shown },
  });
}
