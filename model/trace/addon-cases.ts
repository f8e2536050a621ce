/**
 * @file Modules with an add-on: `<kind>.text.*`, `<kind>.unet.out` and merged weights `<kind>.weight:<name>` for LoRAs, `embedding.text.*` for a
 * textual inversion; `base.*` is the same without any. Strengths stand in the metadata.
 */
import { ModelFileError } from "../../engine/index.ts";
import { cast, gatherWeight } from "../../kernels/index.ts";
import { openLora } from "../addons/lora-file.ts";
import { LoraSet } from "../addons/lora-set.ts";
import { readTextualInversion, vectorsFor } from "../addons/textual-inversion.ts";
import { windowOfWeight } from "../addons/weight-windows.ts";
import type { ByteSource } from "../checkpoint/byte-source.ts";
import { download } from "./layout.ts";
import { textCases } from "./text-cases.ts";
import type { Computed, RecordedTensors } from "./trace-case.ts";
import type { TraceModel } from "./trace-model.ts";
import { unetCases } from "./unet-cases.ts";

/** Opens the add-on of a kind that stands beside the model; undefined where there is none. */
export type OpenAddon = (kind: string) => Promise<ByteSource | undefined>;

const embedding = "embedding";

export async function* addonCases(recorded: RecordedTensors, model: TraceModel, open: OpenAddon): AsyncGenerator<Computed> {
  const kinds = new Set(
    [...recorded.shapes.keys()].map((name) => /^(\w+)\.weight:/.exec(name)?.[1]).filter((kind) => kind !== undefined),
  );
  if (recorded.shapes.has("base.unet.out") || recorded.shapes.has("base.text.last")) yield* modulesOf("base", recorded, model);
  const set = new LoraSet(model);
  for (const kind of kinds) {
    const source = await open(kind);
    if (source === undefined) continue;
    await set.apply([{ lora: await openLora(source), ...strengthsOf(recorded) }]);
    yield* weightCases(kind, recorded, model);
    yield* modulesOf(kind, recorded, model);
  }
  await set.apply([]);
  const source = recorded.shapes.has(`${embedding}.text.last`) ? await open(embedding) : undefined;
  if (source) yield* embeddingCase(recorded, model, source);
}

/** The cases of text encoder and U-Net, under the kind's names. */
async function* modulesOf(kind: string, recorded: RecordedTensors, model: TraceModel): AsyncGenerator<Computed> {
  const own = `${kind}.`;
  const shapes = new Map(
    [...recorded.shapes].flatMap(([name, shape]): [string, readonly number[]][] => {
      if (name.startsWith(own)) return [[name.slice(own.length), shape]];
      return ["unet.x", "unet.t", "text.ids"].includes(name) ? [[name, shape]] : [];
    }),
  );
  const view: RecordedTensors = {
    ...recorded,
    shapes,
    read: (name) => recorded.read(recorded.shapes.has(`${own}${name}`) ? `${own}${name}` : name),
  };
  for (const cases of [textCases(view, model), unetCases(view, model)]) {
    for await (const { name, values } of cases) yield { name: `${own}${name}`, values };
  }
}

/** Merged weights, in the file's order. */
async function* weightCases(
  kind: string,
  recorded: RecordedTensors,
  { device, checkpoint }: TraceModel,
): AsyncGenerator<Computed> {
  for (const name of recorded.shapes.keys()) {
    if (!name.startsWith(`${kind}.weight:`)) continue;
    const found = windowOfWeight(checkpoint, name.slice(name.indexOf(":") + 1));
    if (!found) continue;
    const weight = device.scope(() => gatherWeight({ ...found.window, tensor: cast(found.target.tensor, "f32") }));
    try {
      yield { name, values: await weight.read() };
    } finally {
      weight.free();
    }
  }
}

/** The vectors stand behind the third word of the first prompt. */
async function* embeddingCase(
  recorded: RecordedTensors,
  { device, text }: TraceModel,
  source: ByteSource,
): AsyncGenerator<Computed> {
  const encoder = text.get("text");
  const name = `${embedding}.text.last`;
  if (!encoder) return;
  const { width } = encoder.config;
  const vectors = vectorsFor(await readTextualInversion(source, embedding), [width], 0); // [n, C]
  const [, length = 77] = recorded.shapes.get("text.ids")!;
  const ids = Array.from(await recorded.read("text.ids")).slice(0, length);
  const offset = 4; // behind the start marker and three words
  const placed = [...ids.slice(0, offset), ...Array<number>(vectors.length / width).fill(0), ...ids.slice(offset)].slice(
    0,
    length,
  );
  const embedded = await encoder.embed([placed], [{ sequence: 0, offset, vectors }]);
  const last = device.scope(() => {
    const x = device.upload(embedded, [1, length, width], device.storage);
    return encoder.finalNorm.forward(encoder.hiddenStates(x).at(-1)!);
  });
  try {
    yield { name, values: await download(last, recorded.shapes.get(name)!) };
  } finally {
    last.free();
  }
}

/** @throws ModelFileError CASES_METADATA */
function strengthsOf({ metadata }: RecordedTensors): { text: number; unet: number } {
  try {
    const { text, unet } = JSON.parse(metadata["strength"] ?? "") as { text: unknown; unet: unknown };
    if (typeof text === "number" && typeof unet === "number") return { text, unet };
  } catch {
    // Said below.
  }
  throw new ModelFileError(
    "CASES_METADATA",
    'cases file: its metadata has no strength of the add-ons, {"unet": 0.8, "text": 0.6}',
    {
      hint: "correct the metadata of the cases file",
      context: { strength: metadata["strength"] },
    },
  );
}
