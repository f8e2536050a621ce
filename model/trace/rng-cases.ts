/** @file The draws of a recorded rng file: `cpu.<seed>.<i>` and `philox.<seed>.<i>`, the i-th draw of one generator. */

import type { Generator } from "../sampling/rng/generator.ts";
import { PhiloxGenerator } from "../sampling/rng/philox.ts";
import { TorchCpuGenerator } from "../sampling/rng/torch-cpu.ts";
import type { RecordedTensors, TraceCase, TraceCases } from "./trace-case.ts";

const generators: Readonly<Record<string, new (seed: bigint) => Generator>> = { cpu: TorchCpuGenerator, philox: PhiloxGenerator };

const drawName = /^([a-z]+)\.(\d+)\.(\d+)$/;

export function rngCases(recorded: RecordedTensors): TraceCases {
  const cases: TraceCase[] = [];
  const skipped: string[] = [];
  for (const name of recorded.shapes.keys()) {
    const [, kind = "", seed = "", index = ""] = drawName.exec(name) ?? [];
    const Kind = generators[kind];
    if (Kind === undefined) skipped.push(name);
    else
      cases.push({
        name,
        run: async () => drawAfterEarlierOnes(recorded, new Kind(BigInt(seed)), `${kind}.${seed}`, Number(index)),
      });
  }
  return { cases, skipped };
}

/** Draw `index` of a stream: the draws before it move the generator on, each by its own length. */
function drawAfterEarlierOnes(recorded: RecordedTensors, generator: Generator, stream: string, index: number): Float32Array {
  let values = new Float32Array(0);
  for (let i = 0; i <= index; i++) {
    const shape = recorded.shapes.get(`${stream}.${i}`);
    if (shape === undefined)
      throw new RangeError(`rng: ${stream}.${index} is recorded, but the earlier draw ${stream}.${i} is not`);
    values = new Float32Array(generator.randn(shape.reduce((product, size) => product * size, 1)));
  }
  return values;
}
