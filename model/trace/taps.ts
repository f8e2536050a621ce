/** @file Copies of what modules give in the middle of a run. */
import type { Device, Tensor } from "../../engine/index.ts";
import { deviceShape, download } from "./layout.ts";
import type { Computed, RecordedTensors } from "./trace-case.ts";

export interface Tapped {
  readonly output: Tensor;
  /** In the order of their execution. */
  readonly taps: Computed[];
}

/**
 * Runs modules and copies the output of each one for which the file has a tensor `<group>.tap.<module>`. Modules show their outputs
 * under the checkpoint's full path; the names in the file begin below `prefix`.
 */
export async function runWithTaps(
  device: Device,
  recorded: RecordedTensors,
  { group, prefix }: { readonly group: string; readonly prefix: string },
  run: () => Tensor,
): Promise<Tapped> {
  // Made before the run: inside, a module's scope would take them back.
  const targets = new Map<string, Tensor>();
  for (const [name, shape] of recorded.shapes) {
    if (name.startsWith(`${group}.tap.`)) targets.set(name, device.empty(deviceShape(shape), device.storage, name));
  }
  const seen = new Set<string>();
  const path = prefix === "" ? "" : `${prefix}.`;
  device.observer = (module, output) => {
    const name = `${group}.tap.${module.startsWith(path) ? module.slice(path.length) : module}`;
    const target = targets.get(name);
    if (target === undefined) return;
    device.copy(output, target);
    seen.add(name);
  };
  try {
    const output = device.scope(run);
    device.observer = undefined;
    const taps: Computed[] = [];
    for (const name of seen) taps.push({ name, values: await download(targets.get(name)!, recorded.shapes.get(name)!) });
    return { output, taps };
  } finally {
    device.observer = undefined;
    for (const target of targets.values()) target.free();
  }
}
