/** @file Mistakes in code that uses the engine: each is refused by name before the GPU sees it, and the device stays good. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { create, globals } from "webgpu";
import { Device, Profiler, Slots, type Tensor } from "../../engine/index.ts";
import { add, attention, conv2d, fill, groupNorm, matmul, scale } from "../../kernels/index.ts";

Object.assign(globalThis, globals);
const gpu = create([]);
let device: Device;
let other: Device;
beforeAll(async () => {
  device = await Device.create(gpu);
  other = await Device.create(gpu);
});
afterEach(async () => {
  await device.idle(); // throws where the GPU reported anything
});
afterAll(() => {
  device.close();
  other.close();
});

const upload = (values: readonly number[], shape = [values.length], dtype: "f32" | "f16" = "f32") =>
  device.upload(Float32Array.from(values), shape, dtype);
const shape = { code: "SHAPE" };

/** Runs `fn` in a scope that frees what it made. */
function scoped(fn: () => void): void {
  device.scope(() => {
    fn();
  });
}

test("tensors of two devices don't meet", () => {
  const foreign = other.upload(Float32Array.of(1, 2, 3, 4), [4]);
  scoped(() => {
    const own = upload([1, 2, 3, 4]);
    const { dispatches } = device.counters;
    expect(() => add(own, foreign)).toThrow(/add.*: upload .* belongs to another device/);
    expect(() => matmul(own.reshape([1, 4]), own.reshape([4, 1]), { bias: foreign.reshape([4]).rows(0, 1) })).toThrow(
      /another device/,
    );
    expect(() => device.copy(own, foreign)).toThrow(/another device/);
    expect(() => device.write(foreign, new Float32Array(4))).toThrow(/another device/);
    expect(device.counters.dispatches).toBe(dispatches);
  });
  foreign.free();
});

test("a write has as many bytes as the tensor", async () => {
  const x = upload(Array(192).fill(1), [3, 64]);
  expect(() => device.write(x.rows(0, 1), new Float32Array(128))).toThrow(/write: 512 bytes, but .* has 256/);
  expect(() => device.write(x, new Float32Array(1))).toThrow(expect.objectContaining(shape));
  expect(new Set(await x.read())).toEqual(new Set([1]));
  x.free();
});

test("rows of f16 that begin within a word are read, but neither written nor copied", async () => {
  const x = upload([1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 3], "f16");
  expect([...(await x.rows(1, 2).read())]).toEqual([4, 5, 6]);
  scoped(() => {
    expect(() => device.copy(x.rows(1, 2), device.empty([1, 3], "f16"))).toThrow(/begins at byte 6/);
    expect(() => device.write(x.rows(1, 2), new Float32Array(3))).toThrow(/from byte 6 on/);
    expect(() => x.rows(0.5, 2)).toThrow(expect.objectContaining(shape));
  });
  x.free();
});

test("a copy is between two buffers", () => {
  const slots = new Slots(device, [4], "f32", 2);
  scoped(() => {
    const x = upload([1, 2, 3, 4], [4, 1]);
    expect(() => device.copy(x.rows(0, 1), x.rows(2, 3))).toThrow(/one buffer/);
    expect(() => device.copy(slots.take()!, slots.take()!)).toThrow(/one buffer/);
  });
  slots.free();
});

test("numbers are f32 or f16; what only moves elements takes u32, too", () => {
  scoped(() => {
    const words = fill(device, [4, 4], 1, "u32");
    expect(() => scale(words, 2)).toThrow(/holds f32 or f16, but was given fill u32/);
    expect(() => matmul(device.empty([4, 4], "f32"), words)).toThrow(expect.objectContaining(shape));
  });
});

test("sizes that mean nothing are refused", () => {
  const tensor = (...sizes: number[]) => device.empty(sizes, "f32");
  scoped(() => {
    const [x, weight, row] = [tensor(1, 4, 4, 4), tensor(1, 1, 4, 4), tensor(4)];
    const refused: (() => Tensor)[] = [
      () => conv2d(x, tensor(0, 1, 4, 4)),
      () => conv2d(x, weight, { padding: 0.5 }),
      () => conv2d(x, weight, { stride: 0.5 as 1 }),
      () => matmul(tensor(4, 0), tensor(0, 4)),
      () => groupNorm(row, row, row, { groups: 2, eps: 1e-5 }),
      () => groupNorm(x, row, row, { groups: -2, eps: 1e-5 }),
      () => attention(tensor(1, 2, 9), tensor(1, 2, 9), tensor(1, 2, 9), { heads: 1, headDim: 8, columns: { q: 0.5 } }),
    ];
    for (const [i, launch] of refused.entries()) expect(launch, `launch ${i}`).toThrow(expect.objectContaining(shape));
  });
});

test("a capture is not run after it was disposed of, nor after its input was freed", async () => {
  const x = upload([1]);
  const [first, second] = [device.capture(() => scale(x, 2)), device.capture(() => scale(x, 3))];
  first.run();
  first.dispose();
  expect(() => first.run()).toThrow(expect.objectContaining({ code: "USE_AFTER_FREE" }));
  expect(() => first.expectRuns(1)).toThrow(/disposed/);
  second.expectRuns(2);
  second.run();
  expect([...(await second.result.read())]).toEqual([3]);
  x.free();
  const heir = upload([7]); // has x's memory
  expect(() => second.run()).toThrow(/upload .* was used after/);
  expect([...(await second.result.read())]).toEqual([3]);
  second.dispose();
  heir.free();
});

test("a capture holds launches and copies, and is recorded at once", async () => {
  const x = upload([1]);
  const capture = device.capture(() => scale(x, 2));
  const whileRecording = (fn: () => unknown) => () => device.capture(fn);
  const refused = expect.objectContaining({ code: "IN_CAPTURE" });
  expect(whileRecording(() => capture.run())).toThrow(refused);
  expect(whileRecording(() => device.write(x, new Float32Array(1)))).toThrow(refused);
  expect(whileRecording(async () => scale(x, 2))).toThrow(expect.objectContaining({ code: "ASYNC_SCOPE" }));
  let read: Promise<unknown> | undefined;
  const reader = device.capture(() => {
    read = x.read();
  });
  await expect(read).rejects.toThrow(refused);
  // The last capture but the one that is being recorded goes: the memory of that one stays.
  reader.dispose();
  const last = device.capture(() => {
    const y = scale(x, 3);
    capture.dispose();
    return scale(y, 2);
  });
  last.run();
  expect([...(await last.result.read())]).toEqual([6]);
  last.dispose();
  x.free();
});

test("a capture that throws half way leaves no memory to be planned", () => {
  const x = upload([1]);
  const halfWay = () =>
    device.capture(() =>
      device.scope(() => {
        scale(scale(x, 2), 2);
        throw new Error("half way");
      }),
    );
  expect(halfWay).toThrow("half way");
  expect(device.activationBytes).toBe(0);
  const kept = device.capture(() => scale(x, 2));
  const before = device.activationBytes;
  expect(halfWay).toThrow("half way");
  expect(device.activationBytes).toBe(before);
  kept.dispose();
  x.free();
});

test("a capture of nothing says nothing about the host's time", () => {
  const capture = device.capture(() => {});
  device.counters.replayMicros.length = 0;
  capture.expectRuns(1);
  capture.run();
  capture.run();
  expect(device.counters.replayMicros).toEqual([]);
  capture.dispose();
});

test("launches are not timed without timestamps", async () => {
  const plain = await Device.create(gpu, { withhold: ["timestamp-query"] });
  expect(() => new Profiler(plain.gpu)).toThrow(expect.objectContaining({ code: "NO_TIMESTAMPS" }));
  plain.close();
});
