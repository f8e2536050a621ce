import { expect, test } from "vitest";
import { checkHires, cutLatent } from "../../model/hires/hires.ts";
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
  expect(hiresTarget(first, wanted, 8)).toEqual({ enlarged: size, cut: none, size });
});

test("a size of other proportions cuts what is too much, half of it on each side", () => {
  expect(hiresTarget(first, { width: 1024, height: 1024 }, 8)).toEqual({
    enlarged: { width: 1024, height: 1536 },
    cut: { left: 0, top: 32 },
    size: { width: 1024, height: 1024 },
  });
  expect(hiresTarget(first, { width: 616, height: 1200 }, 8)).toEqual({
    enlarged: { width: 800, height: 1200 },
    cut: { left: 11, top: 0 }, // 23 cells too much
    size: { width: 616, height: 1200 },
  });
});

test("a size that can't be is told as it was asked for, with what it would be cut from", () => {
  expect(() => checkHires({ scale: 8 }, { width: 4096, height: 4096 }, 8)).toThrow(
    "hires scale: 8 makes a picture of 32768x32768",
  );
  expect(() => checkHires({ width: 1024, height: 4096 }, { width: 512, height: 64 }, 8)).toThrow(
    "hires size: 1024x4096 makes a picture of 1024x4096, cut from 32768x4096",
  );
});

test("the cells are those of the VAE: a factor of 4 keeps sizes that 8 rounds down, and cuts as many pixels", () => {
  const tall = { width: 64, height: 128 };
  expect(hiresTarget(tall, { scale: 1.2 }, 8).size).toEqual({ width: 72, height: 152 }); // 76.8 x 153.6
  expect(hiresTarget(tall, { scale: 1.2 }, 4).size).toEqual({ width: 76, height: 152 });
  const { target } = checkHires({ width: 100, height: 100 }, tall, 4);
  expect(target).toEqual({
    enlarged: { width: 100, height: 200 },
    cut: { left: 0, top: 12 },
    size: { width: 100, height: 100 },
  });
  const latent = Float32Array.from({ length: 25 * 50 }, (_, i) => Math.floor(i / 25)); // each cell its row
  const cut = cutLatent(latent, target, 4);
  expect([cut.length, cut[0], cut.at(-1)]).toEqual([25 * 25, 12, 36]);
});
