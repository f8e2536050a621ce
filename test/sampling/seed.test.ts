import { describe, expect, it } from "vitest";
import { UsageError } from "../../engine/errors.ts";
import { batchSeed, parseSeed, randomSeed } from "../../model/sampling/seed.ts";

describe("seed", () => {
  it.each([
    ["0", 0n],
    ["4294967296", 2n ** 32n],
    ["9007199254740993", 2n ** 53n + 1n],
    ["18446744073709551615", 2n ** 64n - 1n],
    [42, 42n],
    [7n, 7n],
  ])("%s is exact", (value, expected) => {
    expect(parseSeed(value)).toBe(expected);
  });

  it.each(["18446744073709551616", "0x10", "1.5", "", "-2", "ten", "1e3", 1.5, -3, Number.NaN, 2 ** 53 + 2, 2n ** 64n, -5n])(
    "%s is refused",
    (value) => {
      expect(() => parseSeed(value)).toThrow(UsageError);
      expect(() => parseSeed(value)).toThrow(expect.objectContaining({ code: "INVALID_SEED", hint: expect.any(String) }));
    },
  );

  it("says of too many digits that they are too many", () => {
    for (const length of [21, 30, 1000]) {
      expect(() => parseSeed("9".repeat(length))).toThrow("is above the largest seed");
    }
  });

  it("is random for -1 and for nothing, within 32 bits", () => {
    const seeds = [parseSeed(), parseSeed("-1"), parseSeed(-1), randomSeed()];
    expect(new Set(seeds).size).toBe(seeds.length);
    for (const seed of seeds) expect(seed >= 0n && seed < 2n ** 32n).toBe(true);
  });

  it("wraps at 2^64 in a batch", () => {
    expect(batchSeed(2n ** 64n - 1n, 2)).toBe(1n);
  });
});
