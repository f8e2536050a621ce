/** @file Commands encoded side by side: every encoder must get the calls that it would get alone. */
import { expect, test } from "vitest";
import type { CompiledKernel } from "../../engine/pipeline-cache.ts";
import { type Command, encodeCommands } from "../../engine/recorder.ts";

/** An encoder that writes down what it is told. */
function note(): { encoder: GPUCommandEncoder; calls: string[] } {
  const calls: string[] = [];
  const say =
    (name: string) =>
    (...args: unknown[]) =>
      void calls.push([name, ...args].join(" "));
  const pass = {
    setPipeline: say("pipeline"),
    setBindGroup: say("group"),
    dispatchWorkgroups: say("dispatch"),
    end: say("end"),
  };
  const encoder = {
    beginComputePass: () => {
      calls.push("begin");
      return pass;
    },
    copyBufferToBuffer: say("copy"),
  };
  return { encoder: encoder as unknown as GPUCommandEncoder, calls };
}

const dispatch = (pipeline: string, bindGroup: string, x: number, y = 1, z = 1): Command => ({
  kernel: { pipeline } as unknown as CompiledKernel,
  bindGroup: bindGroup as unknown as GPUBindGroup,
  x,
  y,
  z,
});

const copy = (source: string, target: string): Command => ({
  source: source as unknown as GPUBuffer,
  sourceOffset: 4,
  target: target as unknown as GPUBuffer,
  targetOffset: 8,
  bytes: 16,
});

const commands = [
  copy("a", "b"),
  dispatch("conv", "g1", 3),
  dispatch("conv", "g2", 4, 5),
  dispatch("norm", "g3", 6, 1, 7),
  dispatch("norm", "g4", 2),
  copy("c", "d"),
  copy("e", "f"),
  dispatch("norm", "g5", 1),
];

const expected = [
  "copy a 4 b 8 16",
  ...["begin", "pipeline conv", "group 0 g1", "dispatch 3"],
  ...["group 0 g2", "dispatch 4 5 1"],
  ...["pipeline norm", "group 0 g3", "dispatch 6 1 7"],
  ...["group 0 g4", "dispatch 2", "end"],
  ...["copy c 4 d 8 16", "copy e 4 f 8 16"],
  ...["begin", "pipeline norm", "group 0 g5", "dispatch 1", "end"],
];

test("a pass is begun where dispatches begin, a pipeline set where it changes, unit sizes of a grid left out", () => {
  const { encoder, calls } = note();
  encodeCommands([encoder], commands);
  expect(calls).toEqual(expected);
});

test("each of several encoders gets the same calls in the same order", () => {
  const notes = [note(), note(), note()];
  const encoders = notes.map(({ encoder }) => encoder);
  encodeCommands(encoders, commands);
  for (const { calls } of notes) expect(calls).toEqual(expected);
});

test("nothing to encode begins no pass", () => {
  const { encoder, calls } = note();
  encodeCommands([encoder], []);
  expect(calls).toEqual([]);
});
