/** @file Rows 65 and 67 of the fault catalogue: how a picture may end before its time, and that nothing stays behind. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import type { StableDiffusion } from "../../model/index.ts";
import { createDevice, interceptedDevice, loadSmall, picture, rejection, small } from "./picture.ts";

let device: Device;
let model: StableDiffusion;
let live = 0;
let expected: Uint8Array;
beforeAll(async () => {
  device = await createDevice({ precision: "f32" });
  model = await loadSmall(device);
  live = device.memory.liveBytes;
  expected = (await picture(model)).pixels;
});
afterAll(() => device.close());

test("a picture leaves nothing behind", () => {
  expect(device.memory.liveBytes).toBe(live);
});

test("nothing is compiled once the U-Net runs: some drivers would hold the process, and its signals, until the step is done", async () => {
  let compiled = 0;
  const watched = await interceptedDevice(({ name }) => {
    if (name === "createComputePipeline") compiled++;
    return undefined;
  });
  const fresh = await loadSmall(watched);
  const before = compiled;
  await picture(fresh);
  expect(compiled - before).toBe(0);
  watched.close();
});

describe("AbortSignal", () => {
  /** Stages are told apart by the captures that run: text, the U-Net's fixed part, the steps, the decoder. */
  async function abortedAtReplay(count: number): Promise<{ error: unknown; reached: boolean }> {
    const controller = new AbortController();
    const replay = device.replay.bind(device);
    let seen = 0;
    device.replay = (commands) => {
      replay(commands);
      if (++seen === count) controller.abort();
    };
    try {
      // What was encoded before is not encoded again.
      const error = await rejection(picture(model, { signal: controller.signal, negative: `replay ${count}` }));
      return { error, reached: controller.signal.aborted };
    } finally {
      device.replay = replay;
    }
  }

  test("aborted before the start: nothing runs", async () => {
    const before = device.counters.dispatches;
    const error = await rejection(picture(model, { signal: AbortSignal.abort() }));
    expect(error.name).toBe("AbortError");
    expect(device.counters.dispatches).toBe(before);
    expect(device.memory.liveBytes).toBe(live);
  });

  test("the signal's own reason is thrown", async () => {
    const reason = new Error("enough");
    expect(await rejection(picture(model, { signal: AbortSignal.abort(reason) }))).toBe(reason);
  });

  // text, U-Net's conditioning, two steps, decoder
  test.each([1, 2, 3, 4, 5])("aborted during replay %i: rejects, memory is back", async (count) => {
    const { error, reached } = await abortedAtReplay(count);
    expect(reached).toBe(true);
    expect((error as Error).name).toBe("AbortError");
    await device.idle();
    expect(device.memory.liveBytes).toBe(live);
  });

  test("aborted between steps, by the consumer", async () => {
    const controller = new AbortController();
    const error = await rejection(picture(model, { signal: controller.signal }, () => controller.abort()));
    expect(error.name).toBe("AbortError");
    expect(device.memory.liveBytes).toBe(live);
  });

  test("the next picture is as it would have been", async () => {
    expect((await picture(model)).pixels).toEqual(expected);
    expect(device.memory.liveBytes).toBe(live);
  });

  test("aborted while the weights load: everything is given back", async () => {
    const other = await createDevice();
    const controller = new AbortController();
    const error = await rejection(loadSmall(other, { signal: controller.signal, onProgress: () => controller.abort() }));
    expect(error.name).toBe("AbortError");
    expect(other.memory.liveBytes).toBe(0);
    // What was compiling must not take memory when it is done.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(other.activationBytes).toBe(0);
    other.close();
  });
});

describe("a consumer that leaves", () => {
  test("its exception comes through, the device goes on", async () => {
    const broken = new Error("consumer");
    const error = await rejection(
      (async () => {
        for await (const { step } of model.generate("a red fox", small)) if (step === 1) throw broken;
      })(),
    );
    expect(error).toBe(broken);
    expect(device.memory.liveBytes).toBe(live);
    expect((await picture(model)).pixels).toEqual(expected);
  });

  test("break ends the run", async () => {
    for await (const { latent } of model.generate("a red fox", small)) {
      expect(latent.shape).toEqual([1, 8, 8, 4]);
      break;
    }
    expect(device.memory.liveBytes).toBe(live);
  });
});
