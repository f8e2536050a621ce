/** @file PyTorch beside limn on the same shapes, where the machine has it: peer.py in a process of its own. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchCase } from "./operations.ts";

export interface PeerOptions {
  /** The command that is Python. */
  readonly python: string;
  /** Where PyTorch computes. */
  readonly device: "cuda" | "cpu";
  /** Another script than peer.py. */
  readonly script?: string;
  /** Seconds after which it is given up. */
  readonly patience?: number;
}

export interface PeerTimes {
  /** PyTorch's version. */
  readonly torch: string;
  readonly device: string;
  readonly rows: readonly { readonly name: string; readonly ms?: number; readonly error?: string }[];
}

/** Times of each case, or why there are none. `copiesOf`: how many copies of its inputs take turns. */
export async function runPeer(
  cases: readonly BenchCase[],
  copiesOf: (benchCase: BenchCase) => number,
  { python, device, script = peerScript(), patience = 240 }: PeerOptions,
): Promise<PeerTimes | { readonly why: string }> {
  const shapes = cases.map((benchCase) => {
    const { name, operation, inputs, settings } = benchCase;
    return { name, operation, inputs, settings, copies: copiesOf(benchCase) };
  });
  const { output, failure } = await feed(python, script, JSON.stringify({ device, shapes }), patience);
  if (failure !== undefined) return { why: failure };
  try {
    return JSON.parse(output) as PeerTimes;
  } catch {
    return { why: `${python} printed something else than the times: ${lastLine(output)}` };
  }
}

/** Beside this file, or, when this file is compiled into dist/bench, in the sources' folder. */
function peerScript(): string {
  const places = ["peer.py", "../../bench/peer.py"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  return places.find((path) => existsSync(path)) ?? places[0]!;
}

function feed(command: string, script: string, input: string, patience: number): Promise<{ output: string; failure?: string }> {
  return new Promise((resolve) => {
    const child = spawn(command, [script], { timeout: 1000 * patience });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk;
    });
    // A script that ends before it has read everything is told of by its exit code.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("error", ({ message }) => resolve({ output, failure: `${command} does not run (${message})` }));
    child.on("close", (code, signal) => {
      if (code === 0) resolve({ output });
      else if (signal) resolve({ output, failure: `${command} was stopped after ${patience} s` });
      else resolve({ output, failure: lastLine(errors) || `${command} ended with ${code}` });
    });
  });
}

function lastLine(text: string): string {
  return text.trim().split("\n").at(-1)!.trim();
}
