/** @file The reader against an independent checker, on well-formed files that were then damaged in their structure. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { ModelFileError } from "../../engine/errors.ts";
import { fileBytes, open } from "./build-file.ts";
import { isValidSafetensors } from "./independent-checker.ts";

const sizes = { F4: 0.5, U8: 1, BOOL: 1, F8_E4M3: 1, F16: 2, BF16: 2, F32: 4, I64: 8 } as const;

interface Entry {
  name: string;
  dtype: string;
  shape: number[];
  data_offsets: number[];
}

/** Entries one after the other, as a writer makes them. */
const entries = fc
  .array(
    fc.record({
      name: fc.constantFrom("a", "b", "c", "model.x", "__proto__", "constructor", "é", "toString", "d", "e"),
      dtype: fc.constantFrom(...(Object.keys(sizes) as (keyof typeof sizes)[])),
      shape: fc.array(fc.nat(3), { maxLength: 3 }),
    }),
    { maxLength: 5 },
  )
  .map((list) => {
    let end = 0;
    return list.map(({ name, dtype, shape }): Entry => {
      const begin = end;
      end += Math.ceil(shape.reduce((product, count) => product * count, sizes[dtype]));
      return { name, dtype, shape, data_offsets: [begin, end] };
    });
  });

/** Ways to damage the entries; most runs take none or one. */
type Damage = (list: Entry[], pick: number) => void;
const at = (list: Entry[], pick: number): Entry | undefined => list[pick % Math.max(1, list.length)];
const damages: Damage[] = [
  () => {},
  () => {},
  (list) => list.reverse(),
  (list, pick) => at(list, pick)?.data_offsets.reverse(),
  (list, pick) => at(list, pick)?.data_offsets.push(pick),
  (list, pick) => at(list, pick)?.data_offsets.splice(1),
  (list, pick) => {
    const entry = at(list, pick);
    if (entry) entry.data_offsets = entry.data_offsets.map((offset) => offset + (pick % 3) - 1);
  },
  (list, pick) => {
    const entry = at(list, pick);
    if (entry) entry.dtype = ["F16", "f32", "U8", "I32", ""][pick % 5]!;
  },
  (list, pick) => at(list, pick)?.shape.push([1, 0, 2, -1, 1.5, 2 ** 32, 2 ** 53][pick % 7]!),
  (list, pick) => list.splice(pick % (list.length + 1), 1),
];

/** Ways to write the header down, some of them wrong. */
const spellings: ((json: string) => string)[] = [
  (json) => json,
  (json) => json,
  (json) => ` \n${json}\t `,
  (json) => `${json}\0`,
  (json) => json.slice(0, -1),
  (json) => json.replace(/(\d)(?=[,\]])/, "$1.0"),
  (json) => json.replace(/:(\d)/, ":0$1"),
  (json) => json.replace("{", '{"__metadata__":{"format":"pt"},'),
  (json) => json.replace("{", '{"__metadata__":{"format":1},'),
  (json) => json.replace("{", '{"__metadata__":null,'),
  (json) => json.replace('"dtype"', '"extra":[{}, null],"dtype"'),
  (json) => json.replace(/"a"/, '"\\u0061"'),
  (json) => json.replace(/,/, ",,"),
];

function write(list: readonly Entry[], spell: (json: string) => string, extra: number): Uint8Array {
  const fields = list.map(({ name, ...entry }) => `${JSON.stringify(name)}:${JSON.stringify(entry)}`);
  const end = Math.max(0, ...list.map((entry) => entry.data_offsets[1] ?? 0));
  return fileBytes(spell(`{${fields.join(",")}}`), new Uint8Array(Math.max(0, Math.min(1000, end) + extra)));
}

async function accepts(bytes: Uint8Array): Promise<boolean> {
  try {
    await open(bytes);
    return true;
  } catch (error) {
    // Anything but a typed error is a bug, whatever the file holds.
    if (!(error instanceof ModelFileError)) throw error;
    return false;
  }
}

test("same verdict as the independent checker", async () => {
  let valid = 0;
  await fc.assert(
    fc.asyncProperty(
      entries,
      fc.constantFrom(...damages),
      fc.constantFrom(...spellings),
      fc.constantFrom(0, 0, 0, 0, 1, -1),
      fc.nat(100),
      async (list, damage, spell, extra, pick) => {
        const copy = structuredClone(list);
        damage(copy, pick);
        const bytes = write(copy, spell, extra);
        const verdict = isValidSafetensors(bytes);
        if (verdict) valid++;
        expect(await accepts(bytes), new TextDecoder().decode(bytes.subarray(8))).toBe(verdict);
      },
    ),
    { numRuns: 5000 },
  );
  // A test in which everything is refused shows nothing.
  expect(valid).toBeGreaterThan(500);
});

test("any bytes: accepted or a typed error", async () => {
  const seed = write([{ name: "a", dtype: "F32", shape: [2], data_offsets: [0, 8] }], (json) => json, 0);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(seed.length - 1), fc.nat(255)), { maxLength: 4 }), async (changes) => {
      const bytes = seed.slice();
      for (const [index, value] of changes) bytes[index] = value;
      await accepts(bytes);
    }),
    { numRuns: 5000 },
  );
});
