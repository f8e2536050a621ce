import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClipTokenizer, endToken, startToken } from "../../tokenizer/index.ts";
import { type Chunk, type ChunkOptions, chunkLength, chunkPrompt, embeddingLookup } from "../../tokenizer/prompt/index.ts";

const tokenizer = new ClipTokenizer();
const chunks = (prompt: string, options?: ChunkOptions) => chunkPrompt(tokenizer, prompt, options);
const tokens = ({ ids, tokens: count }: Chunk) => [...ids.subarray(1, 1 + count)];
const [cat, dog, comma] = [2368, 1929, 267];

it("makes one chunk of an empty prompt: start and ends", () => {
  for (const prompt of ["", "  ", "()"]) {
    const [chunk, ...more] = chunks(prompt);
    expect(more).toEqual([]);
    expect(chunk).toEqual({
      ids: Uint32Array.from([startToken, ...Array(76).fill(endToken)]),
      weights: new Float64Array(77).fill(1),
      tokens: 0,
      embeddings: [],
    });
  }
});

it("gives each token the weight of its stretch, and start, end and padding 1", () => {
  const [chunk] = chunks("cat (dog, cat:1.5) [dog]");
  expect(tokens(chunk!)).toEqual([cat, dog, comma, cat, dog]);
  expect([...chunk!.weights]).toEqual([1, 1, 1.5, 1.5, 1.5, 1 / 1.1, ...Array(71).fill(1)]);
});

it("tokenises stretches one by one, so brackets end words", () => {
  expect(tokens(chunks("(ca)t")[0]!)).toEqual([...tokenizer.encode("ca"), ...tokenizer.encode("t")]);
});

it("pads with zeros for OpenCLIP", () => {
  const [chunk] = chunks("cat", { pad: "zero" });
  expect([...chunk!.ids]).toEqual([startToken, cat, endToken, ...Array(74).fill(0)]);
});

it("ends a chunk at BREAK", () => {
  expect(chunks("cat BREAK dog BREAK").map(tokens)).toEqual([[cat], [dog]]);
  expect(chunks("BREAK cat").map(tokens)).toEqual([[], [cat]]);
  expect(chunks("(cat BREAK dog:2)").map(tokens)).toEqual([[cat, ...tokenizer.encode("BREAK"), dog]]);
});

describe("a full chunk", () => {
  it("is followed by the next, no more is made for 75 tokens", () => {
    expect(chunks("cat ".repeat(75)).map(tokens)).toEqual([Array(75).fill(cat)]);
    expect(chunks("cat ".repeat(76)).map(tokens)).toEqual([Array(75).fill(cat), [cat]]);
  });

  it("is cut after a comma among the last 20 tokens", () => {
    const near = `${"cat ".repeat(55)}, ${"dog ".repeat(20)}`;
    expect(chunks(near).map(tokens)).toEqual([[...Array(55).fill(cat), comma], Array(20).fill(dog)]);
    const far = `${"cat ".repeat(54)}, ${"dog ".repeat(21)}`;
    expect(chunks(far).map(tokens)).toEqual([[...Array(54).fill(cat), comma, ...Array(20).fill(dog)], [dog]]);
    expect(chunks(near, { commaBacktrack: 0 }).map((chunk) => chunk.tokens)).toEqual([75, 1]);
  });

  it("takes the weights along", () => {
    const [first, second] = chunks(`${"cat ".repeat(70)}, (${"dog ".repeat(5)}:1.5)`);
    expect(tokens(second!)).toEqual(Array(5).fill(dog));
    expect([...second!.weights.subarray(0, 8)]).toEqual([1, 1.5, 1.5, 1.5, 1.5, 1.5, 1, 1]);
    expect([...first!.weights]).toEqual(Array(77).fill(1));
  });

  it("sends a comma that comes 76th on to the next", () => {
    expect(chunks(`${"cat ".repeat(75)}, dog`).map(tokens)).toEqual([Array(75).fill(cat), [comma, dog]]);
  });
});

describe("emphasis", () => {
  it("ignore reads the brackets and weighs nothing", () => {
    const [chunk] = chunks("(cat:1.5)", { emphasis: "ignore" });
    expect(tokens(chunk!)).toEqual([cat]);
    expect([...chunk!.weights]).toEqual(Array(77).fill(1));
  });

  it("none reads brackets as text", () => {
    expect(tokens(chunks("(cat:1.5)", { emphasis: "none" })[0]!)).toEqual(tokenizer.encode("(cat:1.5)"));
  });
});

describe("textual inversions", () => {
  const embeddings = embeddingLookup(tokenizer, [
    { name: "my cat", vectors: 3 },
    { name: "my cat style", vectors: 10 },
  ]);

  it("stand as ids 0 with their weight, longest name first", () => {
    const [chunk] = chunks("a (My cat:1.5), my cat style", { embeddings });
    expect(tokens(chunk!)).toEqual([320, 0, 0, 0, comma, ...Array(10).fill(0)]);
    expect(chunk!.embeddings).toEqual([
      { name: "my cat", vectors: 3, offset: 2 },
      { name: "my cat style", vectors: 10, offset: 6 },
    ]);
    expect([...chunk!.weights.subarray(0, 6)]).toEqual([1, 1, 1.5, 1.5, 1.5, 1]);
  });

  it("are never split", () => {
    const result = chunks(`${"dog ".repeat(70)}my cat style`, { embeddings });
    expect(result.map(tokens)).toEqual([Array(70).fill(dog), Array(10).fill(0)]);
    expect(result[1]!.embeddings).toEqual([{ name: "my cat style", vectors: 10, offset: 1 }]);
  });

  it("move with the tokens after a comma", () => {
    const result = chunks(`${"dog ".repeat(68)}, my cat dog dog dog dog`, { embeddings });
    expect(result.map(tokens)).toEqual([
      [...Array(68).fill(dog), comma],
      [0, 0, 0, ...Array(4).fill(dog)],
    ]);
    expect(result.map((chunk) => chunk.embeddings)).toEqual([[], [{ name: "my cat", vectors: 3, offset: 1 }]]);
  });

  it.each([0, 76, 1.5])("refuses one of %d vectors", (vectors) => {
    expect(() => embeddingLookup(tokenizer, [{ name: "x", vectors }])).toThrow(/x has .* vectors/);
  });

  it("refuses a name without tokens", () => {
    expect(() => embeddingLookup(tokenizer, [{ name: " ", vectors: 1 }])).toThrow(/no tokens/);
  });
});

it("keeps all tokens in order, at most 75 a chunk, framed by start and end", () => {
  const words = fc.array(fc.constantFrom("cat", "dog", ",", "a", "red,", "house"), { maxLength: 260 });
  fc.assert(
    fc.property(words, fc.integer({ min: 0, max: 75 }), (list, commaBacktrack) => {
      const prompt = list.join(" ");
      const result = chunks(prompt, { commaBacktrack });
      expect(result.flatMap(tokens)).toEqual(tokenizer.encode(prompt));
      for (const { ids, weights, tokens: count } of result) {
        expect([ids.length, weights.length, ids[0], ids[count + 1], ids[76]]).toEqual([77, 77, startToken, endToken, endToken]);
        expect(count).toBeLessThanOrEqual(chunkLength);
      }
    }),
    { numRuns: 50 },
  );
});
