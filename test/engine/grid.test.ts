import fc from "fast-check";
import { expect, test } from "vitest";
import { foldGroups, perElement } from "../../engine/shape.ts";

const mostGroups = 65_535;

/** WebGPU's default limit; what `flat_index` makes of the last invocation of each row of workgroups is checked in 32 bits. */
function check(count: number, workgroupSize: number): void {
  const [x, y = 1, z = 1] = perElement(count, workgroupSize);
  expect([x <= mostGroups, y <= mostGroups, z]).toEqual([true, true, 1]);
  const last = x * workgroupSize - 1 + (y - 1) * x * workgroupSize; // id.x + id.y * groups.x * WORKGROUP_SIZE
  expect(last).toBeGreaterThanOrEqual(count - 1);
  expect(last).toBeLessThan(2 ** 32);
  // Rows of workgroups stand edge to edge: an index is in one row only, and no row is without work.
  expect((y - 1) * x * workgroupSize).toBeLessThan(count);
}

test("row 73: every index up to 2^31 is visited once", () => {
  const counts = fc.integer({ min: 1, max: 2 ** 31 });
  fc.assert(fc.property(counts, fc.constantFrom(32, 64, 128, 256), check), { numRuns: 5000 });
});

test.each([1, 63, 64, 65, 64 * 65_535 - 1, 64 * 65_535, 64 * 65_535 + 1, 64 * 65_536, 2 ** 31 - 1, 2 ** 31])(
  "%i elements",
  (count) => {
    check(count, 64);
  },
);

test("groups are folded evenly: fewer than one row's worth too many", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 26 }), (groups) => {
      const [x, y = 1] = foldGroups(groups);
      expect(x * y - groups).toBeGreaterThanOrEqual(0);
      expect(x * y - groups).toBeLessThan(y);
    }),
    { numRuns: 5000 },
  );
});
