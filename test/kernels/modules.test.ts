/** @file The WGSL of every kernel: pinned as text, and accepted by Dawn's compiler in all of its variants. No GPU needed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Device } from "../../engine/index.ts";
import { allKernels } from "../../kernels/index.ts";
import { activationCode } from "../../kernels/snippets.ts";
import { createNullDevice } from "./harness.ts";
import { variantsOf } from "./variants.ts";

test("names are unique, and the rungs of a ladder stand together", () => {
  const names = allKernels.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const operations = allKernels.map(({ spec }) => spec.name).filter((name, i, all) => name !== all[i - 1]);
  expect(new Set(operations).size).toBe(operations.length);
});

test.for(allKernels.map((kernel) => [kernel.name, kernel] as const))("the module of %s", async ([name, kernel]) => {
  await expect(kernel.module({ types: {} })).toMatchFileSnapshot(`modules/${name.replace("/", ".")}.wgsl`);
});

describe("the compiler accepts every variant of", () => {
  let device: Device;
  beforeAll(async () => {
    device = await createNullDevice();
  });
  afterAll(() => device.close());

  test.for(allKernels.map((kernel) => [kernel.name, kernel] as const))("%s", async ([, kernel]) => {
    const activations = "ACTIVATION" in (kernel.spec.tunables ?? {}) ? Object.values(activationCode) : [undefined];
    for (const variant of variantsOf(kernel, ["f32", "f16"])) {
      for (const ACTIVATION of activations) {
        await device.pipelines.compile(kernel, { ...variant, tunables: { ACTIVATION } });
      }
    }
  });

  test("nothing that is wrong", async () => {
    const wrong = allKernels[0]!;
    const broken = Object.assign(Object.create(wrong), {
      module: () => wrong.module({ types: {} }).replace("uniforms.count", "uniforms.amount"),
    });
    await expect(device.pipelines.compile(broken, { types: {} })).rejects.toThrow(/amount/);
  });
});
