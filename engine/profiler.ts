/** @file GPU timestamps, one pair around each dispatch: for `bench/`, never on in ordinary runs. */

import { AdapterError } from "./errors.ts";
import { bufferUsage } from "./pool.ts";
import { type Command, encodeCommands, isCopy } from "./recorder.ts";
import { waitFor } from "./wait.ts";

export interface Timing {
  readonly kernel: string;
  readonly nanoseconds: number;
}

/** A query set holds at most 4,096 timestamps. */
const maxDispatches = 2048;

export class Profiler {
  readonly #device: GPUDevice;
  readonly #pending: Promise<Timing[]>[] = [];

  /** @throws AdapterError NO_TIMESTAMPS */
  constructor(device: GPUDevice) {
    if (!device.features.has("timestamp-query")) {
      throw new AdapterError(
        "NO_TIMESTAMPS",
        "timing launches needs the feature timestamp-query, which this adapter does not offer",
        {
          hint: "use another adapter",
        },
      );
    }
    this.#device = device;
  }

  /** Encodes with each dispatch in a pass of its own and submits. */
  run(commands: readonly Command[]): void {
    for (let begin = 0; begin < commands.length; begin += maxDispatches)
      this.#runChunk(commands.slice(begin, begin + maxDispatches));
  }

  /** All timings since the last call, in the order of the dispatches. */
  async collect(): Promise<Timing[]> {
    const pending = this.#pending.splice(0);
    return (await Promise.all(pending)).flat();
  }

  #runChunk(commands: readonly Command[]): void {
    const names = commands.filter((command) => !isCopy(command)).map((command) => (isCopy(command) ? "" : command.kernel.name));
    const querySet = this.#device.createQuerySet({ type: "timestamp", count: Math.max(1, 2 * names.length) });
    const bytes = Math.max(16, 16 * names.length);
    const resolved = this.#device.createBuffer({
      size: bytes,
      usage: bufferUsage.QUERY_RESOLVE | bufferUsage.COPY_SRC,
    });
    const staging = this.#device.createBuffer({ size: bytes, usage: bufferUsage.MAP_READ | bufferUsage.COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    let index = 0;
    for (const command of commands) {
      if (isCopy(command)) {
        encodeCommands([encoder], [command]);
        continue;
      }
      const pass = encoder.beginComputePass({
        timestampWrites: { querySet, beginningOfPassWriteIndex: 2 * index, endOfPassWriteIndex: 2 * index + 1 },
      });
      pass.setPipeline(command.kernel.pipeline!);
      pass.setBindGroup(0, command.bindGroup);
      pass.dispatchWorkgroups(command.x, command.y, command.z);
      pass.end();
      index++;
    }
    if (names.length > 0) encoder.resolveQuerySet(querySet, 0, 2 * names.length, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    this.#pending.push(
      waitFor(staging.mapAsync(1)).then(() => {
        const stamps = new BigInt64Array(staging.getMappedRange().slice(0));
        for (const resource of [staging, resolved, querySet]) resource.destroy();
        return names.map((kernel, i) => ({ kernel, nanoseconds: Number(stamps[2 * i + 1]! - stamps[2 * i]!) }));
      }),
    );
  }
}
