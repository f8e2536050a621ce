import fc from "fast-check";
import { expect, it } from "vitest";
import { normalize } from "../../tokenizer/normalize.ts";

/** Marks of many classes, of none (U+0903, U+0BCA), one that decomposes (U+0F73), letters that compose, Hangul. */
const units = [
  ..."\u0301\u0323\u0345\u0344\u0334\u05b0\u0f73\u0f71\u0903\u0bca\u0bbe\u093c\u3099\u{1d165}\u{1d16d}\u{16ff0}a\u1161",
];

it("is NFC, also for runs long enough to be sorted first", () => {
  const long = fc.string({ unit: fc.constantFrom(...units.slice(0, -2)), minLength: 100, maxLength: 150 });
  const short = fc.string({ unit: fc.constantFrom(...units), maxLength: 20 });
  fc.assert(
    fc.property(fc.array(fc.oneof(long, short), { maxLength: 4 }), (parts) => {
      expect(normalize(parts.join("가a"))).toBe(parts.join("가a").normalize("NFC"));
    }),
  );
});
