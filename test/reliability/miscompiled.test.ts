/** @file Row 47 of the fault catalogue: a driver that computes wrongly is found out by `limn doctor`. */
import { describe, expect, test } from "vitest";
import { prove } from "../../cli/gpu/proof.ts";
import type { Device } from "../../engine/index.ts";
import { createDevice, createNullDevice, limited } from "../kernels/harness.ts";
import { interceptedDevice, rejection } from "./picture.ts";

async function proving<T>(device: Device, work: (device: Device) => Promise<T>): Promise<T> {
  try {
    return await work(device);
  } finally {
    device.close();
  }
}

const names = ["a matrix product", "a 3x3 convolution", "a group norm", "a layer norm", "an attention"];

describe("an adapter that computes", () => {
  test.each([
    ["as it is", {}],
    ["in f16", { precision: "f16" }],
    ["without f16 and subgroups", limited],
  ] as const)("is proved right, %s", async (_, options) => {
    const proved = await proving(await createDevice(options), prove);
    expect(proved.map(({ name }) => name)).toEqual(names);
  });
});

describe("an adapter that does not", () => {
  test("gives nothing at all: GPU_WRONG", async () => {
    const error = await rejection(proving(await createNullDevice(), prove));
    expect(error).toMatchObject({ code: "GPU_WRONG", message: expect.stringContaining("a matrix product") });
  });

  // The shader does something else than its text says, as if the compiler had it wrong.
  // On software adapters a matrix product is a convolution of one tap.
  test.each([
    [/^(?:matmul|conv2d)/, "a matrix product"],
    [/^group-norm/, "a group norm"],
    [/^layer-norm/, "a layer norm"],
    [/^attention/, "an attention"],
  ])("has %s wrong: %s is named", async (kernel, name) => {
    const device = await interceptedDevice(({ name: call, args, real }) => {
      const [descriptor] = args as [GPUShaderModuleDescriptor];
      if (call !== "createShaderModule" || !kernel.test(descriptor.label ?? "")) return undefined;
      return real.createShaderModule({ ...descriptor, code: miscompiled(descriptor.code) });
    });
    const error = await rejection(proving(device, prove));
    expect(error).toMatchObject({ code: "GPU_WRONG", context: { kernel: name } });
  });
});

/** What is stored becomes 1/8 of it: the last factor of each line that writes an element. */
function miscompiled(code: string): string {
  const wrong = code.replaceAll(/(\b(?:y|sums?)\[[^=;]*\] = )([^;]+);/g, "$1($2) * 0.125;");
  expect(wrong, "the shader has nothing to get wrong").not.toBe(code);
  return wrong;
}
