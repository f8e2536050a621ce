/** @file `limn kernel [NAME]`: lists the kernels with their rungs, or prints the whole WGSL module of one. */
import { type KernelDefinition, UsageError } from "../../engine/index.ts";
import { allKernels } from "../../kernels/index.ts";
import type { KernelOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

/** @throws UsageError UNKNOWN_KERNEL */
export async function run({ name, json }: KernelOptions): Promise<void> {
  if (name === undefined) {
    await writeStdout(json ? `${JSON.stringify({ kernels: listing() })}\n` : table());
    return;
  }
  const kernel = find(name);
  // In f32: f16 changes the aliases at the top and nothing else.
  const wgsl = kernel.module({ types: {} });
  await writeStdout(json ? `${JSON.stringify({ name: kernel.name, wgsl })}\n` : wgsl);
}

interface Entry {
  readonly name: string;
  readonly rungs: readonly string[];
}

/** Kernels by name; one without a ladder has no rungs. */
function listing(): Entry[] {
  const rungs = new Map<string, string[]>();
  for (const { spec } of allKernels) {
    const known = rungs.get(spec.name) ?? [];
    rungs.set(spec.name, spec.rung === undefined ? known : [...known, spec.rung]);
  }
  return [...rungs].map(([name, rungs]) => ({ name, rungs }));
}

function table(): string {
  const entries = listing();
  const width = Math.max(...entries.map(({ name }) => name.length));
  return entries.map(({ name, rungs }) => `${`${name.padEnd(width)}  ${rungs.join(", ")}`.trimEnd()}\n`).join("");
}

/** By full name (`layer-norm/software`), or by the operation's alone, which means its most readable rung. */
function find(name: string): KernelDefinition {
  const kernel = allKernels.find((kernel) => kernel.name === name) ?? allKernels.find(({ spec }) => spec.name === name);
  if (kernel) return kernel;
  const near = allKernels.filter(({ spec }) => spec.name.includes(name.split("/")[0]!)).map((kernel) => kernel.name);
  throw new UsageError("UNKNOWN_KERNEL", `there is no kernel ${JSON.stringify(name)}`, {
    hint: near.length > 0 ? `there are ${near.join(", ")}` : "`limn kernel` lists them all",
    context: { name },
  });
}
