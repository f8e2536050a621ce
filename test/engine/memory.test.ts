import fc from "fast-check";
import { expect, test } from "vitest";
import { ActivationMemory } from "../../engine/activations.ts";
import { fromF16Bits, toF16Bits } from "../../engine/index.ts";
import { type Allocation, type BufferFactory, type PooledBuffer, sizeClass } from "../../engine/pool.ts";
import { perElement } from "../../engine/shape.ts";

test("a size class is at least the size, and at most 6.25 % more above 4 KiB", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (bytes) => {
      const size = sizeClass(bytes);
      expect(size).toBeGreaterThanOrEqual(bytes);
      expect(size % 256).toBe(0);
      if (bytes >= 4096) expect(size).toBeLessThanOrEqual(bytes * 1.0625);
    }),
  );
});

test("tensors whose lives overlap never share a buffer", () => {
  // A life: [ticks before it is taken, ticks until it is freed, bytes, kept].
  const life = fc.tuple(fc.nat(3), fc.nat(12), fc.integer({ min: 1, max: 5000 }), fc.boolean());
  fc.assert(
    fc.property(fc.array(life, { minLength: 1, maxLength: 40 }), (lives) => {
      let id = 0;
      const factory = {
        create: (bytes: number) => ({ bytes, id: id++ }),
        expectPossible() {},
        destroy() {},
      } as unknown as BufferFactory;
      const memory = new ActivationMemory(factory);
      const taken: { allocation: Allocation; from: number; to: number; freesAt: number; kept: boolean }[] = [];
      let clock = 0;
      const free = () => {
        for (const t of taken) {
          if (t.freesAt <= clock && !t.allocation.freed && !t.kept) {
            t.allocation.release();
            t.to = clock;
          }
        }
      };
      for (const [wait, duration, bytes, kept] of lives) {
        for (let i = 0; i < wait; i++) {
          memory.tick();
          clock++;
          free();
        }
        taken.push({
          allocation: memory.take(bytes, "t"),
          from: kept ? 0 : clock,
          to: Number.POSITIVE_INFINITY,
          freesAt: clock + duration,
          kept,
        });
      }
      memory.keep(taken.filter((t) => t.kept).map((t) => t.allocation));
      const homes = new Map<PooledBuffer, { from: number; to: number }[]>();
      for (const t of taken) {
        const home = homes.get(t.allocation.buffer) ?? [];
        for (const other of home) expect(t.from < other.to && other.from < t.to).toBe(false);
        homes.set(t.allocation.buffer, [...home, t]);
      }
    }),
  );
});

test("f16 bits round-trip, and rounding is to the nearest even", () => {
  for (let bits = 0; bits < 65536; bits++) {
    const value = fromF16Bits(bits);
    if (!Number.isNaN(value)) expect(toF16Bits(value)).toBe(bits);
  }
  expect(fromF16Bits(toF16Bits(2049))).toBe(2048);
  expect(fromF16Bits(toF16Bits(2051))).toBe(2052);
  expect(fromF16Bits(toF16Bits(65520))).toBe(Number.POSITIVE_INFINITY);
  expect(fromF16Bits(toF16Bits(2 ** -25))).toBe(0);
  expect(Number.isNaN(fromF16Bits(toF16Bits(Number.NaN)))).toBe(true);
});

test("grids fold above 65,535 groups and still cover every element (up to 2^31)", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (count) => {
      const [x, y = 1] = perElement(count);
      expect(x).toBeLessThanOrEqual(65535);
      expect(y).toBeLessThanOrEqual(65535);
      expect(x * y * 64).toBeGreaterThanOrEqual(count);
    }),
  );
});
