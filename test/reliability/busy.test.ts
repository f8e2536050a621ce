/** @file One picture at a time for a model: all of them write into the same inputs. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { createDevice, loadSmall, picture, rejection, small } from "./picture.ts";

let device: Device;
let model: StableDiffusion;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
});
afterAll(() => {
  model.free();
  device.close();
});

test("a second one is refused with a way out, and the first is none the worse for it", async () => {
  const expected = await picture(model);
  const first = model.generate("a red fox", small);
  await first.next();
  const error = await rejection(picture(model, { width: 128 }));
  expect(error).toMatchObject({ code: "MODEL_BUSY", hint: expect.stringContaining("return()") });
  for (let next = await first.next(); ; next = await first.next()) {
    if (!next.done) continue;
    expect(next.value.pixels).toEqual(expected.pixels);
    break;
  }
  expect((await picture(model)).pixels).toEqual(expected.pixels);
});

test("after one that was stopped, or refused for its options, the next is made", async () => {
  const stopped = model.generate("a red fox", small);
  await stopped.next();
  await stopped.return(undefined as never);
  expect((await rejection(picture(model, { width: 100 }))).code).toBe("INVALID_WIDTH");
  expect((await picture(model)).pixels.length).toBe(4 * 64 * 64);
});
