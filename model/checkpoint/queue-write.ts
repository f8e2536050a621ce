/** @file Bytes to a GPU buffer, a few megabytes at a time. */

/** Dawn keeps staging memory of this size and uses it again; for a larger write it asks the system for fresh pages each time. */
const maxWrite = 4 * 1024 * 1024;

/** Writes `bytes` to `offset` of the buffer; both multiples of 4. */
export function queueWrite(queue: GPUQueue, buffer: GPUBuffer, offset: number, bytes: Uint8Array<ArrayBuffer>): void {
  for (let at = 0; at < bytes.length; at += maxWrite) {
    queue.writeBuffer(buffer, offset + at, bytes, at, Math.min(maxWrite, bytes.length - at));
  }
}
