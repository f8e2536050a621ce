/** @file Weights' bytes through staging memory, and past it while the queue is behind. */
import { expect, test } from "vitest";
import { StagingWriter } from "../../model/checkpoint/staging.ts";
import { createDevice } from "../kernels/harness.ts";

test("every byte arrives, whether staging memory is free for all, a part or nothing of it", async () => {
  const device = await createDevice({});
  const staging = new StagingWriter(device, 2 ** 30);
  try {
    // 64 MiB of staging memory; nothing is awaited between the writes, so the second finds a part of it, the third none.
    const sizes = [40, 40, 20].map((mebibytes) => mebibytes * 1024 * 1024 - 4);
    const bytes = new Uint8Array(Math.max(...sizes) + 8);
    const tensors = sizes.map((size, index) => {
      new Uint32Array(bytes.buffer).fill(index + 1);
      const words = new Uint32Array(bytes.buffer, 8, size / 4);
      for (let at = 0; at < words.length; at += 1021) words[at] = at * 3 + index;
      const tensor = device.empty([size / 4], "u32");
      staging.write(tensor.buffer.gpu, tensor.offset, bytes.subarray(8, 8 + size));
      return tensor;
    });
    for (const [index, tensor] of tensors.entries()) {
      const words = await tensor.readU32();
      const wrong = words.findIndex((word, at) => word !== (at % 1021 === 0 ? at * 3 + index : index + 1));
      expect(wrong).toBe(-1);
    }
  } finally {
    staging.free();
    device.close();
  }
});
