import { afterAll, beforeAll, expect, test } from "vitest";
import { create, globals } from "webgpu";
import { Device, defineKernel, perElement, type Tensor } from "../../engine/index.ts";

Object.assign(globalThis, globals);
const gpu = create([]);
let device: Device;
beforeAll(async () => {
  device = await Device.create(gpu);
});
afterAll(() => device.close());

const scaleKernel = defineKernel({
  name: "test-scale",
  buffers: { x: "read", y: "write", bias: { access: "read", type: "f32", optional: true } },
  uniforms: { count: "u32", factor: "f32" },
  flags: { BIAS: false },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= uniforms.count) { return; }
      var value = uniforms.factor * f32(x[id.x]);
      if (BIAS) { value += bias[0]; }
      y[id.x] = Element(value);
    }`,
});

function scaled(x: Tensor, factor: number, bias?: Tensor): Tensor {
  const y = x.device.empty(x.shape, x.dtype, "scaled");
  scaleKernel.launch({ x, y, bias }, { count: x.size, factor }, perElement(x.size), { flags: { BIAS: bias !== undefined } });
  return y;
}

const values = (...numbers: number[]) => Float32Array.from(numbers);

test("a launch computes, an optional buffer may be left out", async () => {
  const x = device.upload(values(1, 2, 3), [3]);
  const bias = device.upload(values(10), [1]);
  const [plain, biased] = [scaled(x, 2), scaled(x, 2, bias)];
  expect([...(await plain.read())]).toEqual([2, 4, 6]);
  expect([...(await biased.read())]).toEqual([12, 14, 16]);
  for (const tensor of [x, bias, plain, biased]) tensor.free();
});

test("a device holds on to the GPU object it came from, which the binding needs as long as the device", () => {
  expect(device.origin).toBe(gpu);
});

test("f16 storage rounds to the nearest even", async () => {
  const x = device.upload(values(1.5, 2049, 65504), [3], "f16");
  const y = scaled(x, 0.5);
  expect([...(await y.read())]).toEqual([0.75, 1024, 32752]);
  for (const tensor of [x, y]) tensor.free();
});

test("a scope frees what it does not return, also when it throws", () => {
  const x = device.upload(values(1), [1]);
  const before = device.memory.liveBytes;
  const y = device.scope(() => device.scope(() => scaled(scaled(x, 2), 2)));
  expect(device.memory.liveBytes).toBe(before + 256);
  y.free();
  expect(() =>
    device.scope(() => {
      scaled(x, 1);
      throw new Error("stop");
    }),
  ).toThrow("stop");
  expect(device.memory.liveBytes).toBe(before);
  x.free();
});

test("use after free names the tensor", () => {
  let lost: Tensor | undefined;
  const x = device.upload(values(1), [1]);
  device.scope(() => {
    lost = scaled(x, 1);
  });
  expect(() => scaled(lost!, 1)).toThrow(/scaled f32\[1\] was used after/);
  x.free();
});

test("an asynchronous scope is refused", () => {
  expect(() => device.scope(async () => {})).toThrow(/synchronous/);
});

test("a capture runs when told, sees new inputs, and builds no bind group when replayed", async () => {
  const before = device.memory.liveBytes;
  const x = device.upload(values(1, 2), [2]);
  const capture = device.capture(() => device.scope(() => scaled(scaled(x, 3), 3)));
  await capture.ready();
  const built = device.bindGroups.built;
  capture.run();
  expect([...(await capture.result.read())]).toEqual([9, 18]);
  device.write(x, values(2, 0));
  capture.run();
  capture.run();
  expect([...(await capture.result.read())]).toEqual([18, 0]);
  expect(device.bindGroups.built).toBe(built);
  capture.dispose();
  x.free();
  expect(device.memory.liveBytes).toBe(before);
});

test("within a capture memory is free after the last launch that binds it, not at the end of the scope", async () => {
  const x = device.upload(new Float32Array(1024).fill(1), [1024]);
  // Ten tensors of one scope, of which two at a time are bound.
  const chain = device.capture(() => device.scope(() => Array.from({ length: 10 }).reduce<Tensor>((y) => scaled(y, 2), x)));
  expect(device.activationBytes).toBe(3 * 4096); // the result has a place of its own
  // One that is bound again at the end keeps its place.
  const kept = device.capture(() =>
    device.scope(() => {
      const first = scaled(x, 3);
      const last = Array.from({ length: 4 }).reduce<Tensor>((y) => scaled(y, 2), first);
      return scaled(last, 1, first);
    }),
  );
  chain.run();
  kept.run();
  expect((await chain.result.read())[1023]).toBe(1024);
  expect((await kept.result.read())[1023]).toBe(3 * 16 + 3);
  chain.dispose();
  kept.dispose();
  x.free();
});

test("a replay is cut into submissions while its time is not known, and computes the same", async () => {
  const watched = await Device.create(gpu, { submitMillis: 250 });
  const x = watched.upload(values(1), [1]);
  const capture = watched.capture(() => watched.scope(() => Array.from({ length: 20 }).reduce<Tensor>((y) => scaled(y, 2), x)));
  const submitsOf = async () => {
    const before = watched.counters.submits;
    capture.run();
    expect([...(await capture.result.read())]).toEqual([2 ** 20]);
    return watched.counters.submits - before;
  };
  expect(await submitsOf()).toBe(3);
  // The times come in, on a busy machine late.
  await expect.poll(submitsOf, { interval: 20, timeout: 10_000 }).toBe(1);
  watched.close();
});

test("runs encoded ahead compute what later ones do", async () => {
  const x = device.upload(values(1), [1]);
  const capture = device.capture(() => scaled(x, 3));
  capture.expectRuns(2);
  for (const value of [1, 2, 3]) {
    device.write(x, values(value));
    capture.run();
    expect([...(await capture.result.read())]).toEqual([3 * value]);
  }
  capture.dispose();
  x.free();
});

test("runs encoded ahead and not wanted any more are dropped", async () => {
  const x = device.upload(values(2), [1]);
  const capture = device.capture(() => scaled(x, 3));
  const encoded = () => device.counters.replayMicros.length;
  device.counters.replayMicros.length = 0;
  capture.expectRuns(3);
  capture.expectRuns(1);
  capture.expectRuns(2);
  expect(encoded()).toBe(3 + 1);
  capture.expectRuns(0);
  capture.run();
  expect([...(await capture.result.read())]).toEqual([6]);
  expect(encoded(), "none lay ready").toBe(3 + 1 + 1);
  capture.dispose();
  x.free();
});

test("captures share memory, but never that of a result", async () => {
  const x = device.upload(new Float32Array(1024).fill(1), [1024]);
  const first = device.capture(() => device.scope(() => scaled(scaled(scaled(x, 2), 2), 2)));
  const second = device.capture(() => device.scope(() => scaled(scaled(first.result, 3), 1)));
  // 4 KiB each: two results, and the intermediates of both captures in two more at the most.
  expect(device.activationBytes).toBeLessThanOrEqual(4 * 4096);
  first.run();
  second.run();
  first.run();
  expect((await first.result.read())[1023]).toBe(8);
  expect((await second.result.read())[1023]).toBe(24);
  first.dispose();
  second.dispose();
  x.free();
  expect(device.activationBytes).toBe(0);
});

test("upload inside a capture is refused", () => {
  expect(() => device.capture(() => device.upload(values(1), [1]))).toThrow(/a capture is being recorded/);
});

test("write waits its turn behind recorded work", async () => {
  const x = device.upload(values(5), [1]);
  const y = scaled(x, 2);
  device.write(x, values(7));
  expect([...(await y.read())]).toEqual([10]);
  for (const tensor of [x, y]) tensor.free();
});

test("a view of rows binds only its rows", async () => {
  const x = device.upload(
    Float32Array.from({ length: 192 }, (_, i) => i),
    [3, 64],
  );
  const y = scaled(x.rows(1, 2), 1);
  expect((await y.read())[0]).toBe(64);
  expect(() => scaled(x.reshape([192]).rows(1, 2), 1)).toThrow(/no multiple of/);
  for (const tensor of [x, y]) tensor.free();
});

test("mixed dtypes and missing buffers are refused with both facts", () => {
  const x = device.upload(values(1, 1), [2]);
  const y = device.empty([2], "f16");
  expect(() => scaleKernel.launch({ x, y }, { count: 2, factor: 1 }, [1])).toThrow(/one dtype.*f16.*f32/);
  for (const tensor of [x, y]) tensor.free();
});

test("an error that nobody awaits fails the next read, with a typed error", async () => {
  const broken = await Device.create(create([]));
  const x = broken.upload(values(1), [1]);
  // A bind group without its buffers is a validation error, reported late.
  const layout = broken.gpu.createBindGroupLayout({ entries: [{ binding: 0, visibility: 4, buffer: {} }] });
  broken.gpu.createBindGroup({ layout, entries: [] });
  await broken.gpu.queue.onSubmittedWorkDone();
  await expect(x.read()).rejects.toMatchObject({ code: "GPU_ERROR" });
  broken.close();
});

test("a lost device fails the read that was in flight", async () => {
  const doomed = await Device.create(create([]));
  const x = doomed.upload(values(1), [1]);
  doomed.gpu.destroy();
  await doomed.gpu.lost;
  await expect(x.read()).rejects.toMatchObject({ code: "DEVICE_LOST" });
});

test("a shader that does not compile is named, with its line", async () => {
  const kernel = defineKernel({
    name: "test-broken",
    buffers: { y: "write" },
    wgsl: /* wgsl */ `
      @compute @workgroup_size(1) fn main() { y[0] = no_such_function(); }`,
  });
  const own = await Device.create(create([]));
  const capture = own.capture(() => {
    const y = own.empty([4], "f32");
    kernel.launch({ y }, {}, [1]);
    return y;
  });
  await expect(capture.ready()).rejects.toMatchObject({ code: "SHADER", message: expect.stringContaining("test-broken") });
  own.close();
});
