import { expect, test } from "vitest";
import { checkHires } from "../../model/hires/hires.ts";
import { hiresTarget } from "../../model/hires/target-size.ts";

const first = { width: 512, height: 768 };
const none = { left: 0, top: 0 };

test.each([
  [{}, { width: 1024, height: 1536 }],
  [{ scale: 1.5 }, { width: 768, height: 1152 }],
  [{ scale: 1.3 }, { width: 664, height: 992 }], // 665.6 x 998.4
  [{ width: 1024 }, { width: 1024, height: 1536 }],
  [{ height: 1152 }, { width: 768, height: 1152 }],
  [
    { width: 768, height: 1152 },
    { width: 768, height: 1152 },
  ],
])("%o enlarges 512 x 768 to %o, all of it", (wanted, size) => {
  expect(hiresTarget(first, wanted)).toEqual({ enlarged: size, cut: none, size });
});

test("a size of other proportions cuts what is too much, half of it on each side", () => {
  expect(hiresTarget(first, { width: 1024, height: 1024 })).toEqual({
    enlarged: { width: 1024, height: 1536 },
    cut: { left: 0, top: 32 },
    size: { width: 1024, height: 1024 },
  });
  expect(hiresTarget(first, { width: 616, height: 1200 })).toEqual({
    enlarged: { width: 800, height: 1200 },
    cut: { left: 11, top: 0 }, // 23 cells too much
    size: { width: 616, height: 1200 },
  });
});

test("a size that can't be is told as it was asked for, with what it would be cut from", () => {
  expect(() => checkHires({ scale: 8 }, { width: 4096, height: 4096 })).toThrow("hires scale: 8 makes a picture of 32768x32768");
  expect(() => checkHires({ width: 1024, height: 4096 }, { width: 512, height: 64 })).toThrow(
    "hires size: 1024x4096 makes a picture of 1024x4096, cut from 32768x4096",
  );
});
