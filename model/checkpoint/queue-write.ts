/** @file Bytes to a GPU buffer, a few megabytes at a time. */

/** Dawn keeps staging memory of this size and uses it again; for a larger write it asks the system for fresh pages each time. */
const maxWrite = 4 * 1024 * 1024;

/** Writes `size` bytes of `data`, from `begin` on, to `offset` of the buffer; both multiples of 4. */
export function queueWrite(
  queue: GPUQueue,
  buffer: GPUBuffer,
  offset: number,
  data: ArrayBuffer,
  begin: number,
  size: number,
): void {
  for (let at = 0; at < size; at += maxWrite) {
    queue.writeBuffer(buffer, offset + at, data, begin + at, Math.min(maxWrite, size - at));
  }
}
