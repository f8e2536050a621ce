/** @file Row 48 of the fault catalogue: the same command gives the same pixels, in one process and in another. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { allKernels } from "../../kernels/all.ts";
import { build, limn } from "../cli/limn.ts";
import { variantsOf } from "../kernels/variants.ts";
import { createDevice, loadSmall, picture } from "./picture.ts";

test("twice in one process, from one model and from another device", async () => {
  const pixels: Uint8Array[] = [];
  for (let i = 0; i < 2; i++) {
    const device = await createDevice();
    const model = await loadSmall(device);
    for (let j = 0; j < 2; j++) pixels.push((await picture(model, { sampler: "euler_a" })).pixels);
    device.close();
  }
  for (const other of pixels.slice(1)) expect(Buffer.compare(other, pixels[0]!)).toBe(0);
});

test("in two processes", async () => {
  build();
  const folder = mkdtempSync(join(tmpdir(), "limn-same-"));
  const hashes: string[] = [];
  for (const name of ["a.png", "b.png"]) {
    const output = join(folder, name);
    const ran = await limn(["a red fox", "-W", "64", "-H", "64", "-s", "2", "--seed", "3", "-q", "-o", output]);
    expect(ran.code, ran.stderr).toBe(0);
    hashes.push(createHash("sha256").update(readFileSync(output)).digest("hex"));
  }
  rmSync(folder, { recursive: true });
  expect(hashes[1]).toBe(hashes[0]);
});

// Sums of floats in the order in which lanes happen to arrive differ from run to run. WGSL has atomics of whole numbers only; with a
// compare-and-exchange they could carry floats all the same. Counting, and taking the largest, come out equal in any order.
test("no kernel adds floats in an order that may vary", () => {
  expect(allKernels.length).toBeGreaterThan(20);
  const atomic = new Set<string>();
  for (const kernel of allKernels) {
    for (const variant of variantsOf(kernel, ["f32"]).slice(0, 4)) {
      const wgsl = kernel.module(variant);
      expect(wgsl, kernel.name).not.toMatch(/atomic(Exchange|CompareExchangeWeak|Sub)|atomic<(?!u32>)/);
      for (const [, operation] of wgsl.matchAll(/\b(atomic[A-Z]\w+)\(/g)) atomic.add(operation!);
    }
  }
  for (const operation of atomic) expect(["atomicAdd", "atomicMax", "atomicLoad", "atomicStore"]).toContain(operation);
});
