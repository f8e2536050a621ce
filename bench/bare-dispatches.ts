/**
 * @file `bench host`'s yardstick: the least that encoding costs through WebGPU alone. Dispatches that set a bind group of three buffers
 * and nothing else, as many as a step has and encoded as often, so that a step's cost is a ratio from one run on one machine.
 */

/** Buffers that the bind groups are made of: as many as a step of SD's U-Net has weights, about. */
const buffers = 200;
const buffersEach = 3;

export class BareDispatches {
  readonly #device: GPUDevice;
  readonly #pipeline: GPUComputePipeline;
  readonly #groups: readonly GPUBindGroup[];
  readonly #buffers: readonly GPUBuffer[];

  constructor(device: GPUDevice, dispatches: number) {
    this.#device = device;
    const compute = GPUShaderStage.COMPUTE;
    const layout = device.createBindGroupLayout({
      entries: Array.from({ length: buffersEach }, (_, binding) => ({
        binding,
        visibility: compute,
        buffer: { type: binding === buffersEach - 1 ? "storage" : "read-only-storage" },
      })),
    });
    this.#pipeline = device.createComputePipeline({
      layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module: device.createShaderModule({ code: "@compute @workgroup_size(1) fn main() {}" }) },
    });
    this.#buffers = Array.from({ length: buffers }, () => device.createBuffer({ size: 256, usage: GPUBufferUsage.STORAGE }));
    this.#groups = Array.from({ length: dispatches }, (_, i) =>
      device.createBindGroup({
        layout,
        entries: Array.from({ length: buffersEach }, (_, binding) => ({
          binding,
          resource: { buffer: this.#buffers[(i * buffersEach + binding) % buffers]! },
        })),
      }),
    );
  }

  /** Encodes the dispatches `times` over, side by side as `encodeCommands` does; microseconds a dispatch. Nothing is submitted. */
  encode(times: number): number {
    const start = performance.now();
    const encoders = Array.from({ length: times }, () => this.#device.createCommandEncoder());
    const passes = encoders.map((encoder) => encoder.beginComputePass());
    for (const pass of passes) pass.setPipeline(this.#pipeline);
    for (const group of this.#groups) dispatchEach(passes, group);
    for (const pass of passes) pass.end();
    for (const encoder of encoders) encoder.finish();
    return (1000 * (performance.now() - start)) / (times * this.#groups.length);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

function dispatchEach(passes: readonly GPUComputePassEncoder[], group: GPUBindGroup): void {
  const { length } = passes;
  for (let i = 0; i < length; i++) passes[i]!.setBindGroup(0, group);
  for (let i = 0; i < length; i++) passes[i]!.dispatchWorkgroups(1);
}
