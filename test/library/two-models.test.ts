/** @file Two models: a refiner makes no picture of its own meanwhile, and what can't work is refused before it does harm. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Device, StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture, rejection, small } from "../reliability/picture.ts";

let device: Device;
let model: StableDiffusion;
let refiner: StableDiffusion;
beforeAll(async () => {
  device = await createDevice();
  model = await loadSmall(device);
  refiner = await loadSmall(device);
});
afterAll(() => device.close());

test("a refiner is busy as long as the picture is, and a busy model refines nothing", async () => {
  const refined = model.generate("a red fox", { ...small, refiner: { model: refiner, at: 0.5 } });
  await refined.next();
  expect((await rejection(picture(refiner))).code).toBe("MODEL_BUSY");
  await refined.return(undefined as never);
  const own = refiner.generate("a dog", small);
  await own.next();
  const error = await rejection(picture(model, { refiner: { model: refiner } }));
  expect(error).toMatchObject({ code: "MODEL_BUSY", message: expect.stringContaining("the refiner") });
  await own.return(undefined as never);
  // Nothing is left claimed.
  const both = await Promise.all([picture(model), picture(refiner)]);
  expect(both[0].pixels).toEqual(both[1].pixels);
  expect((await picture(model, { refiner: { model, at: 0.5 } })).pixels).toEqual(both[0].pixels);
});

test("a refiner on another device is refused, and the device stays of use", async () => {
  const other = await createDevice();
  const far = await loadSmall(other);
  const error = await rejection(picture(model, { refiner: { model: far, at: 0.5 } }));
  expect(error).toMatchObject({ code: "REFINER_MISMATCH", message: expect.stringContaining("another device") });
  expect((await picture(model)).pixels.length).toBe(64 * 64 * 4);
  other.close();
});

test("a model that has been given back says so", async () => {
  const freed = await loadSmall(device);
  freed.free();
  expect(await rejection(picture(freed))).toMatchObject({ code: "MODEL_FREED", hint: "load it again" });
  expect((await rejection(picture(model, { refiner: { model: freed } }))).code).toBe("MODEL_FREED");
});
