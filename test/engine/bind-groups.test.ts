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

const addConstant = defineKernel({
  name: "test-add-constant",
  buffers: { y: "read_write" },
  uniforms: { count: "u32", value: "f32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x >= uniforms.count) { return; }
      y[id.x] = Element(f32(y[id.x]) + uniforms.value);
    }`,
});

function addTo(y: Tensor, value: number): void {
  addConstant.launch({ y }, { count: y.size, value }, perElement(y.size));
}

/** How many bind groups `work` built. */
async function building(work: () => void): Promise<number> {
  const before = device.bindGroups.built;
  work();
  await device.idle();
  return device.bindGroups.built - before;
}

test("a batch may launch the same often: each launch has its own uniforms", async () => {
  const y = device.upload(new Float32Array(8), [8]);
  const launches = [1, 2, 4, 8, 16, 32, 64];
  const batch = () => {
    for (const value of launches) addTo(y, value);
  };
  expect(await building(batch)).toBe(launches.length);
  expect(await building(batch)).toBe(0);
  expect([...(await y.read())]).toEqual(Array(8).fill(254));
  y.free();
});

test("work that repeats builds none, whatever else the batch holds", async () => {
  const [y, other] = [device.upload(new Float32Array(8), [8]), device.upload(new Float32Array(600), [600])];
  await building(() => addTo(y, 1));
  await building(() => addTo(other, 1));
  const both = () => {
    addTo(other, 5);
    addTo(y, 2);
  };
  expect(await building(both)).toBe(0);
  expect((await y.read())[7]).toBe(3);
  expect((await other.read())[599]).toBe(6);
  for (const tensor of [y, other]) tensor.free();
});

test("more launches than the cache has places are submitted in between, and all of them count", async () => {
  const [y, other] = [device.upload(new Float32Array(8), [8]), device.upload(new Float32Array(600), [600])];
  for (let i = 0; i < 700; i++) addTo(i % 7 === 0 ? other : y, 1);
  expect((await y.read())[0]).toBe(600);
  expect((await other.read())[0]).toBe(100);
  for (const tensor of [y, other]) tensor.free();
});

test("the groups of a destroyed buffer are forgotten, and their places used again", async () => {
  for (let i = 0; i < 300; i++) {
    const y = device.upload(new Float32Array(4), [4]);
    addTo(y, i);
    if (i % 100 === 99) expect((await y.read())[0]).toBe(i);
    y.free();
    device.trim(); // destroys the buffer: the next tensor gets another
  }
});
