/**
 * @file `bench load -m FILE`: how long a checkpoint's weights take to the GPU, beside reading the same bytes and copying them once; and how
 * much memory of the host's it takes. One load in a process: a second one would find memory that the system has cleared already.
 */
import { open } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Device } from "../engine/index.ts";
import type { ByteSource } from "../model/index.ts";
import { openModel } from "../model/load.ts";
import { type CopyTimes, readAndCopy, readOnce } from "./read-and-copy.ts";

export interface LoadRun {
  readonly fileBytes: number;
  /** Of the weights on the device. */
  readonly weightBytes: number;
  /** The quickest of one before the load and one after it. */
  readonly readAndCopy: CopyTimes;
  /** Seconds by the clock, from opening the file to the last byte on the device, and of processor time meanwhile. */
  readonly load: number;
  readonly loadCpu: number;
  /** Highest seen while loading. */
  readonly jsHeapBytes: number;
  /** Array buffers and what else JavaScript keeps outside of its heap. */
  readonly jsExternalBytes: number;
  readonly gpuBytes: number;
}

export async function benchLoad(device: Device, path: string): Promise<LoadRun> {
  const source = await fileSource(path);
  try {
    const weightBytes = await sizeOfWeights(device, source);
    await readOnce(source);
    const before = await readAndCopy(source, weightBytes);
    collectGarbage();
    const loaded = await load(device, source);
    collectGarbage();
    const after = await readAndCopy(source, weightBytes);
    return { fileBytes: source.size, readAndCopy: total(before) < total(after) ? before : after, ...loaded };
  } finally {
    await source.close();
  }
}

/** Seconds in all. */
export function total({ read, copy, widen }: CopyTimes): number {
  return read + copy + widen;
}

/** Of every weight that a picture needs. */
async function sizeOfWeights(device: Device, source: ByteSource): Promise<number> {
  const model = await openModel(source, { device, lowMemory: true }); // takes no memory for them
  model.makeModules();
  const { bytes } = model;
  model.free();
  return bytes;
}

/** Every weight that a picture needs, from opening the file to the last byte on the device; no kernels are compiled. */
async function load(device: Device, source: ByteSource): Promise<Omit<LoadRun, "fileBytes" | "readAndCopy">> {
  let [jsHeapBytes, jsExternalBytes] = [0, 0];
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  const model = await openModel(source, { device });
  model.makeModules();
  await model.load({
    onProgress() {
      const { heapUsed, external } = process.memoryUsage();
      jsHeapBytes = Math.max(jsHeapBytes, heapUsed);
      jsExternalBytes = Math.max(jsExternalBytes, external);
    },
  });
  const seconds = (performance.now() - begin) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  const gpuBytes = device.memory.peakBytes;
  const weightBytes = model.bytes;
  model.free();
  device.trim();
  await device.idle();
  return { weightBytes, load: seconds, loadCpu: (user + system) / 1e6, jsHeapBytes, jsExternalBytes, gpuBytes };
}

/** Else the copies' memory would be given back in the middle of the load, and cost it time. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
}

/** The bench has no file source of the command line's: this one reads what it is asked for and checks nothing. */
async function fileSource(path: string) {
  const handle = await open(path);
  return {
    name: path,
    size: (await handle.stat()).size,
    async read(begin: number, end: number, into?: Uint8Array): Promise<Uint8Array> {
      const bytes = into?.subarray(0, end - begin) ?? new Uint8Array(end - begin);
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await handle.read(bytes, done, bytes.length - done, begin + done);
        if (bytesRead === 0) throw new RangeError(`${path}: ends at byte ${begin + done}`);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
