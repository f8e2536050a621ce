/** @file A device for a command: adapter chosen as the options say, one call to let go of it all. */
import { availableParallelism } from "node:os";
import { adapterName, Device } from "../../engine/index.ts";
import { type Tier, tiersWith } from "../../engine/tier.ts";
import type { GpuOptions } from "../syntax/options.ts";
import { keepAwake } from "./keep-awake.ts";
import { openGpu } from "./node-gpu.ts";

export interface OpenDevice {
  readonly device: Device;
  /** The adapter in words. */
  readonly adapter: string;
  /** True when it computes on the CPU. */
  readonly software: boolean;
  /** What `--tier` may force on it. */
  readonly tiers: readonly Tier[];
  close(): void;
}

/** @throws AdapterError those of `openGpu`, and TIER_UNSUPPORTED, F16_UNSUPPORTED */
export async function openDevice({ adapter, requireGpu, tier, precision, limitBinding }: GpuOptions): Promise<OpenDevice> {
  const opened = await openGpu({ adapter, requireGpu });
  if (opened.software) keepAwake();
  const device = await Device.create(opened.gpu, {
    adapter: opened.adapter,
    tier,
    precision,
    limits: bindingsOf(limitBinding),
    hostThreads: availableParallelism(),
  });
  return {
    device,
    adapter: adapterName(opened.adapter.info),
    software: opened.software,
    tiers: tiersWith(opened.adapter.features),
    close() {
      device.close();
      opened.release();
    },
  };
}

/** Of `mib` MiB at most, in whole words. */
function bindingsOf(mib: number | undefined): Readonly<Record<string, number>> | undefined {
  return mib === undefined ? undefined : { maxStorageBufferBindingSize: 4 * Math.floor(mib * 2 ** 18) };
}
