import { create, globals } from "webgpu";
import { expect, test } from "vitest";
import { defineKernel, Device, perElement, type Tensor } from "../../engine/index.ts";
Object.assign(globalThis, globals);
const gpu = create([]);
const kernel = defineKernel({
  name: "double",
  buffers: { x: "read", y: "write", bias: { access: "read", type: "f32", optional: true } },
  uniforms: { count: "u32", factor: "f32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= uniforms.count) { return; }
      y[id.x] = Element(uniforms.factor * f32(x[id.x]));
    }`,
});
function double(x: Tensor, factor: number): Tensor {
  const y = x.device.empty(x.shape, x.dtype, "double");
  kernel.launch({ x, y }, { count: x.size, factor }, perElement(x.size));
  return y;
}
test("launch, scope, capture", async () => {
  const device = await Device.create(gpu);
  expect(device.tier).toBe("software");
  const x = device.upload(Float32Array.from([1, 2, 3]), [3]);
  const before = device.memory.liveBytes;
  const y = device.scope(() => double(double(double(x, 2), 2), 2));
  expect([...(await y.read())]).toEqual([8, 16, 24]);
  const c = device.capture(() => device.scope(() => double(double(x, 3), 3)));
  await c.ready();
  c.run();
  expect([...(await c.result.read())]).toEqual([9, 18, 27]);
  device.write(x, Float32Array.from([1, 1, 1]));
  c.run();
  expect([...(await c.result.read())]).toEqual([9, 9, 9]);
  c.dispose();
  y.free();
  expect(device.memory.liveBytes).toBe(before);
  const h = device.upload(Float32Array.from([1.5, 2, 65504]), [3], "f16");
  expect([...(await double(h, 0.5).read())]).toEqual([0.75, 1, 32752]);
  device.close();
});
