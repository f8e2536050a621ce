import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../engine/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { Conditioning, contextRows } from "../../model/text/conditioning.ts";
import { emphasise } from "../../model/text/emphasis.ts";
import { planPrompts } from "../../model/text/prompt-rules.ts";
import type { EncodedChunk } from "../../model/text/text-stage.ts";
import { ClipTokenizer } from "../../tokenizer/index.ts";
import { type Chunk, chunkPrompt } from "../../tokenizer/prompt/index.ts";
import { createDevice, loadSmall, type picture, rejection } from "../reliability/picture.ts";

const tokenizer = new ClipTokenizer();
const emptyChunk = chunkPrompt(tokenizer, "")[0]!;
const width = 3;

/** An "encoder" whose state of a token says which token it is. */
const encode = async (chunks: readonly Chunk[]): Promise<EncodedChunk[]> =>
  chunks.map(({ ids }) => ({
    states: [Float32Array.from({ length: 77 * width }, (_, i) => ids[Math.floor(i / width)]! + (i % width))],
    pooled: Float32Array.of(ids[1]!),
  }));

function plans(prompt: string, negative = "", calls = 10) {
  return planPrompts(tokenizer, { prompt, negative }, { calls }, {});
}

function conditioning(prompt: string, negative = "", options = {}) {
  return Conditioning.encode(plans(prompt, negative), encode, { guided: true, zeroEmptyNegative: false, emptyChunk, ...options });
}

/** First token of a context. */
const firstToken = ({ context }: { readonly context: Float32Array }) => context[width];
const idOf = (word: string) => tokenizer.encode(word)[0];
const long = Array(80).fill("fox").join(" ");

describe("emphasis", () => {
  const states = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8)];
  const weights = [Float64Array.of(1, 2), Float64Array.of(1, 0.5)];

  it("weighs every token and brings the mean of the whole batch back", () => {
    const factor = 36 / (1 + 2 + 6 + 8 + 5 + 6 + 3.5 + 4);
    const expected = [
      [1, 2, 6, 8],
      [5, 6, 3.5, 4],
    ].map((row) => row.map((value) => value * factor));
    for (const [b, row] of emphasise(states, weights, "original").entries())
      for (const [i, value] of row.entries()) expect(value).toBeCloseTo(expected[b]![i]!, 5);
  });

  it("without norm only weighs, and otherwise leaves all as it is", () => {
    expect(emphasise(states, weights, "no-norm").map((row) => [...row])).toEqual([
      [1, 2, 6, 8],
      [5, 6, 3.5, 4],
    ]);
    expect(emphasise(states, weights, "ignore")).toEqual(states);
    expect(emphasise(states, weights, "none")).toEqual(states);
  });

  it("as ComfyUI has it leads away from the empty prompt, token by token", () => {
    const empty = Float32Array.of(1, 1, 2, 2);
    expect(emphasise(states, weights, "comfy", empty).map((row) => [...row])).toEqual([
      [1, 2, 2 + 2 * (3 - 2), 2 + 2 * (4 - 2)],
      [5, 6, 2 + 0.5 * (7 - 2), 2 + 0.5 * (8 - 2)],
    ]);
  });
});

describe("conditioning by ComfyUI's rules", () => {
  const comfy = (prompt: string, negative = "") =>
    Conditioning.encode(planPrompts(tokenizer, { prompt, negative }, { calls: 10 }, { compat: "comfy" }), encode, {
      guided: true,
      zeroEmptyNegative: false,
      emptyChunk,
    });

  it("measures weights from the empty prompt and not from zero", async () => {
    const end = emptyChunk.ids[1]!; // what the empty prompt has in the place of the first word
    const { parts } = (await comfy("(fox:1.5)")).at(0);
    expect(firstToken(parts[0]!)).toBeCloseTo(end + 1.5 * (idOf("fox")! - end), 1);
    expect(firstToken((await comfy("fox")).at(0).parts[0]!)).toBe(idOf("fox"));
  });

  it("has neither editing nor AND", async () => {
    const both = await comfy("[fox:cat:5] AND bird");
    expect([both.changes, both.weights]).toEqual([false, [1]]);
  });
});

describe("conditioning", () => {
  it("follows prompt editing and alternation call by call", async () => {
    const edited = await conditioning("[fox:bird:3]");
    expect(edited.changes).toBe(true);
    const seen = Array.from({ length: 6 }, (_, call) => firstToken(edited.at(call).parts[0]!));
    expect(seen).toEqual([...Array(4).fill(idOf("fox")), idOf("bird"), idOf("bird")]);
    const alternating = await conditioning("[fox|bird]");
    expect(alternating.at(0).key).toBe(alternating.at(1).key); // the web UI's first entry holds for two calls
    expect(alternating.at(1).key).not.toBe(alternating.at(2).key);
    expect((await conditioning("fox")).changes).toBe(false);
  });

  it("says the shorter of prompt and negative prompt twice, and draws parts of one prompt out", async () => {
    const one = await conditioning(long, "bird");
    expect(one.rows).toBe(154);
    const { negative, parts } = one.at(0);
    expect(parts[0]!.context.length).toBe(154 * width);
    expect([...negative!.context.slice(77 * width)]).toEqual([...negative!.context.slice(0, 77 * width)]);
    const joined = (await conditioning(`${long} AND bird :0.5`)).at(0).parts;
    const last = joined[1]!.context.slice(76 * width, 77 * width);
    for (let row = 77; row < 154; row++) expect([...joined[1]!.context.slice(row * width, (row + 1) * width)]).toEqual([...last]);
  });

  it("fills the texts of one schedule up with empty chunks", async () => {
    const { rows, context } = (await conditioning(`[bird:${long}:5]`)).at(0).parts[0]!;
    expect(rows).toBe(154);
    const empty = (await encode([emptyChunk]))[0]!.states[0]!;
    expect([...context.slice(77 * width)]).toEqual([...empty]);
  });

  it("knows its length before anything is encoded", async () => {
    for (const [prompt, negative] of [
      [long, "bird"],
      ["fox", `${long} ${long}`],
      [`fox AND ${long}`, long],
    ] as const)
      expect((await conditioning(prompt, negative)).rows).toBe(contextRows(plans(prompt, negative), true));
    expect(contextRows(plans("fox", long), false)).toBe(77);
  });

  it("puts zeros in the place of an empty negative prompt where the family wants them", async () => {
    const { negative } = (await conditioning("fox", "", { zeroEmptyNegative: true })).at(0);
    expect(negative!.context.every((value) => value === 0)).toBe(true);
    expect([...negative!.pooled!]).toEqual([0]);
    const kept = (await conditioning("fox", "bird", { zeroEmptyNegative: true })).at(0);
    expect(firstToken(kept.negative!)).toBe(idOf("bird"));
  });

  it("takes eight parts, and says so of a ninth", () => {
    const join = (count: number) => Array(count).fill("fox").join(" AND ");
    expect(plans(join(8)).prompt.parts.length).toBe(8);
    expect(() => plans(join(9))).toThrow(/joins 9 parts by AND, 8 are taken/);
  });
});

describe("the prompt language in pictures", () => {
  let device: Device;
  let model: StableDiffusion;
  beforeAll(async () => {
    device = await createDevice();
    model = await loadSmall(device);
  });
  afterAll(() => {
    model.free();
    device.close();
  });

  async function of(prompt: string, options: Parameters<typeof picture>[1] = {}): Promise<Float32Array> {
    const generation = model.generate(prompt, { width: 64, height: 64, steps: 2, seed: 3n, guidance: 4, ...options });
    for (;;) {
      const next = await generation.next();
      if (next.done) return next.value.latent;
    }
  }
  const distance = (a: Float32Array, b: Float32Array) => Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));

  it("changes nothing where weights are 1", async () => {
    expect(await of("(a red fox:1.0)")).toEqual(await of("a red fox"));
    expect(await of("a red fox # of no interest")).toEqual(await of("a red fox "));
  });

  it("weighs words", async () => {
    const plain = await of("a red fox");
    expect(distance(await of("a (red:1.5) fox"), plain)).toBeGreaterThan(1e-2);
    expect(await of("a (red:1.5) fox", { emphasis: "ignore" })).toEqual(plain);
  });

  it("joins parts: D = negative + sum of weight guidance (part - negative)", async () => {
    const plain = await of("a red fox");
    expect(distance(await of("a red fox :0.5", { guidance: 8 }), plain)).toBeLessThan(1e-4);
    expect(distance(await of("a red fox :0.25 AND a red fox :0.75"), plain)).toBeLessThan(1e-3);
    expect(distance(await of("a red fox AND a blue bird :0.5"), plain)).toBeGreaterThan(1e-2);
    expect((await rejection(of("fox AND bird", { guidanceRescale: 0.5 }))).code).toBe("TOO_MANY_PARTS");
  });

  it("edits on the way", async () => {
    const fox = await of("a red fox", { steps: 4, sampler: "euler" });
    expect(await of("[a red fox:a blue bird:4]", { steps: 4, sampler: "euler" })).toEqual(fox);
    expect(distance(await of("[a red fox:a blue bird:1]", { steps: 4, sampler: "euler" }), fox)).toBeGreaterThan(1e-2);
    expect(await of("a red fox", { steps: 4, sampler: "euler" })).toEqual(fox); // nothing is left behind
  });

  it("reads more than 75 tokens, and a negative prompt of another length", async () => {
    const plain = await of("a red fox");
    expect(distance(await of(`a red fox, ${long}`), plain)).toBeGreaterThan(1e-2);
    expect(distance(await of("a red fox", { negative: long }), plain)).toBeGreaterThan(1e-2);
    // An empty prompt said twice is the empty prompt: the longer context alone changes nothing.
    expect(distance(await of(long, { negative: "" }), await of(`${long} BREAK`, { negative: "" }))).toBeLessThan(1e-3);
  });

  it("cuts where the rules of diffusers are asked for, and reads brackets as text", async () => {
    expect(await of(`${long} and a bird`, { compat: "diffusers" })).toEqual(await of(long, { compat: "diffusers" }));
    expect(distance(await of("(fox:1.5)", { compat: "diffusers" }), await of("fox", { compat: "diffusers" }))).toBeGreaterThan(
      1e-3,
    );
  });

  it("skips layers of CLIP", async () => {
    expect(await of("a red fox", { clipSkip: 1 })).toEqual(await of("a red fox"));
    expect(distance(await of("a red fox", { clipSkip: 2 }), await of("a red fox"))).toBeGreaterThan(1e-2);
    expect((await rejection(of("fox", { clipSkip: 0 }))).code).toBe("INVALID_CLIP_SKIP");
  });

  it("draws noise as seed, batch and program say", async () => {
    const plain = await of("a red fox", { seed: 4n });
    expect(await of("a red fox", { seed: 3n, batch: { index: 1, size: 2 } })).toEqual(plain);
    const together = await of("a red fox", { seed: 3n, batch: { index: 1, size: 2 }, compat: "diffusers" });
    expect(distance(together, await of("a red fox", { seed: 4n, compat: "diffusers" }))).toBeGreaterThan(1e-2);
    const variation = { seed: 9n, strength: 1 };
    expect(distance(await of("a red fox", { variation }), await of("a red fox", { seed: 9n }))).toBeLessThan(1e-4);
    expect(await of("a red fox", { rng: "philox" })).not.toEqual(await of("a red fox"));
    expect((await rejection(of("fox", { resizeFrom: { width: 100, height: 64 } }))).code).toBe("INVALID_SEED_RESIZE");
  });

  it("gives its memory back", async () => {
    const before = device.memory.liveBytes;
    await of("a red fox AND [a blue bird|a tree] :0.5");
    await of("a red fox");
    expect(device.memory.liveBytes).toBe(before);
  });
});
