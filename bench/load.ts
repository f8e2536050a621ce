/**
 * @file `bench load -m FILE`: how long a checkpoint's weights take to the GPU, beside reading the same bytes and copying them once; and how
 * much memory of the host's it takes. By the clock, and by processor time, which other programs change less.
 */
import { open } from "node:fs/promises";
import type { Device } from "../engine/index.ts";
import type { ByteSource } from "../model/index.ts";
import { openModel } from "../model/load.ts";

export interface LoadReport {
  readonly fileBytes: number;
  /** Of the weights on the device. */
  readonly weightBytes: number;
  readonly readAndCopy: Cost;
  readonly load: Cost;
  /** The load's time over that of reading and copying, each the quickest of its runs. */
  readonly ratio: { readonly wall: number; readonly cpu: number };
  /** Highest seen while loading. */
  readonly jsHeapBytes: number;
  /** Array buffers and what else JavaScript keeps outside of its heap. */
  readonly jsExternalBytes: number;
  readonly gpuBytes: number;
}

/** Seconds. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

const chunk = 16 * 1024 * 1024;

export async function benchLoad(device: Device, path: string, runs: number, log: (line: string) => void): Promise<LoadReport> {
  const source = await fileSource(path);
  const [copies, loads]: [Cost[], Cost[]] = [[], []];
  let memory: Omit<Loaded, "weightBytes"> | undefined;
  let weightBytes = 0;
  try {
    await readAndCopy(source); // the file is in the system's cache from here on
    for (let run = 0; run < runs; run++) {
      copies.push(await timed(() => readAndCopy(source)));
      let loaded: Loaded | undefined;
      loads.push(await timed(async () => (loaded = await load(device, source))));
      ({ weightBytes, ...memory } = loaded!);
      log(`read and copied in ${shown(copies.at(-1)!)}, loaded in ${shown(loads.at(-1)!)}`);
    }
  } finally {
    await source.close();
  }
  const [readCost, loadCost] = [quickest(copies), quickest(loads)];
  const ratio = { wall: loadCost.wall / readCost.wall, cpu: loadCost.cpu / readCost.cpu };
  return { fileBytes: source.size, weightBytes, readAndCopy: readCost, load: loadCost, ratio, ...memory! };
}

interface Loaded {
  readonly weightBytes: number;
  readonly jsHeapBytes: number;
  readonly jsExternalBytes: number;
  readonly gpuBytes: number;
}

/** Every weight that a picture needs, from opening the file to the last byte on the device; no kernels are compiled. */
async function load(device: Device, source: ByteSource): Promise<Loaded> {
  let [jsHeapBytes, jsExternalBytes] = [0, 0];
  const model = await openModel(source, { device });
  try {
    model.makeModules();
    await model.load({
      onProgress() {
        const { heapUsed, external } = process.memoryUsage();
        jsHeapBytes = Math.max(jsHeapBytes, heapUsed);
        jsExternalBytes = Math.max(jsExternalBytes, external);
      },
    });
    return { weightBytes: model.bytes, jsHeapBytes, jsExternalBytes, gpuBytes: device.memory.peakBytes };
  } finally {
    model.free();
    device.trim();
    await device.idle();
  }
}

/** Reads all of it, and copies it into memory that is as fresh as the weights' is. */
async function readAndCopy(source: ByteSource): Promise<void> {
  const read = new Uint8Array(chunk);
  const copies: Uint8Array[] = [];
  for (let at = 0; at < source.size; at += chunk) {
    const bytes = await source.read(at, Math.min(source.size, at + chunk), read);
    copies.push(bytes.slice());
  }
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

async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const [begin, cpu] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: (performance.now() - begin) / 1000, cpu: (user + system) / 1e6 };
}

function quickest(costs: readonly Cost[]): Cost {
  return { wall: Math.min(...costs.map(({ wall }) => wall)), cpu: Math.min(...costs.map(({ cpu }) => cpu)) };
}

function shown({ wall, cpu }: Cost): string {
  return `${wall.toFixed(2)} s (${cpu.toFixed(2)} s of processor time)`;
}
