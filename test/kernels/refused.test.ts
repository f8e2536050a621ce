/** @file Row 77 of the fault catalogue: where the driver refuses a kernel, another rung computes the same. */
import { describe, expect, test } from "vitest";
import { type Device, ShaderError, type Tensor } from "../../engine/index.ts";
import { add, attention, concat, conv2d, geglu, groupNorm, layerNorm, matmul, matmulGeglu, silu } from "../../kernels/index.ts";
import { closeTo, createDevice, normals } from "./harness.ts";

type Make = (...shape: number[]) => Tensor;

const operations: Readonly<Record<string, (make: Make) => Tensor>> = {
  matmul: (make) => matmul(make(40, 32), make(32, 64), { bias: make(64) }),
  "matmul in slices": (make) => matmul(make(8, 1024), make(1024, 64)),
  "matmul with GEGLU": (make) => matmulGeglu(make(40, 32), make(32, 64), { bias: make(64) }),
  conv2d: (make) => conv2d(make(1, 9, 7, 16), make(3, 3, 16, 32), { padding: 1 }),
  attention: (make) => attention(make(1, 40, 64), make(1, 24, 64), make(1, 24, 64), { heads: 2, headDim: 32 }),
  "group norm of a small map": (make) => groupNorm(make(1, 6, 6, 32), make(32), make(32), { groups: 4, eps: 1e-5 }),
  "group norm": (make) => groupNorm(make(1, 40, 40, 64), make(64), make(64), { groups: 16, eps: 1e-5 }),
  "layer norm": (make) => layerNorm(make(9, 64), make(64), make(64), { eps: 1e-5 }),
  geglu: (make) => geglu(make(9, 64)),
  silu: (make) => silu(make(64)),
  add: (make) => add(make(64), make(64)),
  concat: (make) => concat(make(1, 2, 2, 8), make(1, 2, 2, 4)),
};

interface Run {
  readonly kernels: string[];
  readonly values: Float32Array;
}

async function run(device: Device, operation: (make: Make) => Tensor): Promise<Run> {
  const inputs: Tensor[] = [];
  const make: Make = (...shape) => {
    const size = shape.reduce((a, b) => a * b, 1);
    // Inputs are numbered, so that both runs have the same: a normal sequence turned by the input's number.
    const all = fixed.subarray(0, size).map((value, i) => value + ((i * 7 + inputs.length * 13) % 11) / 11);
    const tensor = device.upload(all, shape, "f32");
    inputs.push(tensor);
    return tensor;
  };
  const before = device.memory.liveBytes;
  let seen: string[] = [];
  const record = device.record.bind(device);
  Object.assign(device, {
    record: (...args: Parameters<Device["record"]>) => {
      seen = [...seen, args[0].name];
      record(...args);
    },
  });
  try {
    const result = device.scope(() => operation(make));
    const values = await result.read();
    result.free();
    return { kernels: [...new Set(seen)], values };
  } finally {
    Object.assign(device, { record });
    expect(device.memory.liveBytes).toBe(before);
  }
}

const fixed = Float32Array.from(normals(110_000));

describe.each(["software", "f32"] as const)("tier %s", (tier) => {
  test.for(Object.entries(operations))("%s", async ([, operation]) => {
    const device = await createDevice({ tier, precision: "f32" });
    let last = await run(device, operation);
    const expected = last.values;
    let steps = 0;
    // Down the ladder, a rung at a time.
    while (last.kernels.some((name) => !name.endsWith("/naive") && name !== "matmul/slabs")) {
      const kernel = last.kernels.find((name) => !name.endsWith("/naive"))!;
      const error = new ShaderError("SHADER", `kernel ${kernel}: refused`, { context: { kernel } });
      expect(await device.refuse(error)).toBe(true);
      expect(await device.refuse(error), "twice is no help").toBe(false);
      last = await run(device, operation);
      expect(last.kernels).not.toContain(kernel);
      closeTo(last.values, expected, 1e-4);
      steps++;
    }
    expect(steps).toBeGreaterThan(0);
    device.close();
  });
});

test("where there is no other rung, the launch says why", async () => {
  const device = await createDevice({ precision: "f32" });
  const error = new ShaderError("SHADER", "kernel add/naive: refused", { context: { kernel: "add/naive" } });
  expect(await device.refuse(error)).toBe(true);
  expect(() => device.scope(() => add(device.empty([3]), device.empty([3])))).toThrow(error);
  device.close();
});
