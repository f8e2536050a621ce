/** @file Bytes from the GPU to the host. */
import type { Device } from "./device.ts";
import { DeviceError, LimnError } from "./errors.ts";
import type { FailureWatch } from "./failure-watch.ts";
import { bufferUsage } from "./pool.ts";
import type { Tensor } from "./tensor.ts";

/**
 * The bytes of a tensor, after all work submitted so far.
 * @throws DeviceError DEVICE_LOST and what else the GPU reports; OutOfMemoryError GPU_OUT_OF_MEMORY
 */
export async function readBack(
  device: Pick<Device, "gpu" | "allocate">,
  failures: FailureWatch,
  tensor: Tensor,
): Promise<ArrayBuffer> {
  const before = tensor.offset % 4; // rows of f16 may begin within a word, a copy may not
  const bytes = Math.ceil((before + tensor.bytes) / 4) * 4;
  const source = tensor.buffer.gpu;
  let staging: GPUBuffer | undefined;
  try {
    const usage = bufferUsage.MAP_READ | bufferUsage.COPY_DST;
    staging = device.allocate({ label: "read-back", size: Math.max(4, bytes), usage });
    const encoder = device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(source, tensor.offset - before, staging, 0, bytes);
    device.gpu.queue.submit([encoder.finish()]);
    await failures.wait(staging.mapAsync(1));
    failures.check();
    return staging.getMappedRange().slice(before, before + tensor.bytes);
  } catch (error) {
    // A lost device is noticed here first: only mapAsync rejects.
    const cause = await failures.causeOf(error);
    if (cause instanceof LimnError) throw cause;
    const message = cause instanceof Error ? cause.message : String(cause);
    if (cause instanceof RangeError) throw failures.outOfMemory(`reading back ${tensor.label}: ${message}`, cause);
    throw new DeviceError("DEVICE_LOST", `reading back ${tensor.label} failed: ${message}`, {
      hint: "run again; if it happens again, try a smaller size or `limn doctor`",
      cause,
    });
  } finally {
    staging?.destroy();
  }
}
