/** @file A dispatch of no workgroups, for what a driver leaves to the first dispatch of a pipeline. */
import type { KernelDefinition, Variant } from "./kernel.ts";
import type { PipelineCache } from "./pipeline-cache.ts";
import { bufferUsage } from "./pool.ts";
import { hasUniforms } from "./preamble.ts";
import { uniformAlignment } from "./uniforms.ts";

/** Resolves when the queue has done it, and all before it. Nothing is read or written, and an error of it is nobody's. */
export async function dispatchNothing(
  gpu: GPUDevice,
  pipelines: PipelineCache,
  { kernel, variant }: { readonly kernel: KernelDefinition; readonly variant: Variant },
): Promise<void> {
  await pipelines.compile(kernel, variant);
  const { pipeline, layout } = pipelines.get(kernel, variant);
  const buffers: GPUBuffer[] = [];
  const buffer = (usage: number): GPUBuffer => {
    const made = gpu.createBuffer({ label: "nothing", size: uniformAlignment, usage });
    buffers.push(made);
    return made;
  };
  gpu.pushErrorScope("validation");
  const bound = kernel.buffers.map(() => buffer(bufferUsage.STORAGE));
  if (hasUniforms(kernel.spec)) bound.push(buffer(bufferUsage.UNIFORM));
  const entries = bound.map((each, binding) => ({ binding, resource: { buffer: each } }));
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline!);
  pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
  // Buffers begin with zeros. Dawn warns of a direct dispatch of nothing.
  pass.dispatchWorkgroupsIndirect(buffer(bufferUsage.INDIRECT), 0);
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  await Promise.all([gpu.popErrorScope(), gpu.queue.onSubmittedWorkDone()]);
  for (const each of buffers) each.destroy();
}
