/**
 * @file The device: limits, features and tier of one adapter, the memory of its tensors, and the way that recorded work takes to
 * its queue. Made from a GPU object, so nothing is global and Node and browser are alike.
 */
import { adapterName } from "./adapter-name.ts";
import { BindGroupCache } from "./bind-groups.ts";
import type { Capture } from "./capture.ts";
import { bytesPerElement, type DType, f32ToF16 } from "./dtype.ts";
import { type LimnError, OutOfMemoryError, ShaderError, ShapeError } from "./errors.ts";
import { FailureWatch } from "./failure-watch.ts";
import { dispatchNothing } from "./first-dispatch.ts";
import type { KernelDefinition, Variant } from "./kernel.ts";
import { PipelineCache } from "./pipeline-cache.ts";
import { type Allocation, BufferFactory, type MemoryCounters, Pool, PooledAllocation } from "./pool.ts";
import { readBack } from "./read-back.ts";
import { bindingOf, type Command, copyCommand, expectBindable, expectCopyable, expectUsable } from "./recorder.ts";
import { Recordings } from "./recordings.ts";
import { type DeviceOptions, type RequestedDevice, requestDevice } from "./request.ts";
import { ScopeStack } from "./scopes.ts";
import type { Grid } from "./shape.ts";
import { type DeviceCounters, type Replay, Submitter } from "./submitter.ts";
import { elementCount, Tensor } from "./tensor.ts";
import { isSoftware, type MatrixConfig, matrixConfigOf, matrixFeature, type Tier } from "./tier.ts";
import { WarmUp, type WarmUpJob } from "./warm-up.ts";

export class Device {
  readonly gpu: GPUDevice;
  /** What the device was asked for. Held because Dawn's Node binding crashes when this is collected while its device works. */
  readonly origin: GPU;
  readonly info: GPUAdapterInfo;
  readonly features: ReadonlySet<string>;
  readonly tier: Tier;
  readonly limits: GPUSupportedLimits;
  /** Shaders run on the host's own cores, whatever the tier. */
  readonly isSoftware: boolean;
  /** Threads on which a software adapter runs shaders. */
  readonly hostThreads: number;
  /** Two counters for workgroups that share out the work of a launch among themselves, u32; 0 between launches. */
  readonly tickets: Tensor;
  /** Milliseconds that one submission of a replay may take. */
  readonly submitMillis: number;
  /** dtype of activations (and of weights unless a checkpoint says otherwise). */
  readonly storage: "f32" | "f16";
  /** Lanes of a subgroup; 0 where subgroups are missing or their size varies. */
  readonly subgroupSize: number;
  readonly pipelines: PipelineCache;
  readonly bindGroups: BindGroupCache;
  readonly submitter: Submitter;
  /** On software adapters with several threads. */
  readonly warmUp: WarmUp | undefined;
  /** Called with every module's output while a trace is on: a tap. */
  observer: ((name: string, output: Tensor) => void) | undefined;

  readonly #buffers: BufferFactory;
  readonly #pool: Pool;
  readonly #recordings: Recordings;
  readonly #scopes = new ScopeStack();
  /** Kernels that the driver did not compile, by name. */
  readonly #refused = new Map<string, ShaderError>();
  #pending: Command[] = [];
  /** Stands in for optional buffers that a launch leaves out. */
  readonly #placeholder: Tensor;
  readonly #failures: FailureWatch;

  private constructor(
    origin: GPU,
    { gpu, info, tier, storage, hostThreads, limits }: RequestedDevice,
    { patience, submitMillis }: DeviceOptions,
  ) {
    this.gpu = gpu;
    this.origin = origin;
    this.info = info;
    this.features = new Set(gpu.features as ReadonlySet<string>);
    this.tier = tier;
    this.storage = storage;
    this.limits = limits;
    this.subgroupSize =
      this.features.has("subgroups") && info.subgroupMinSize === info.subgroupMaxSize ? info.subgroupMinSize : 0;
    this.isSoftware = isSoftware(info);
    this.hostThreads = hostThreads;
    this.submitMillis = submitMillis ?? (this.isSoftware ? Number.POSITIVE_INFINITY : 250);
    this.#failures = new FailureWatch(gpu, { software: this.isSoftware, patience, memory: () => ({ ...this.memory }) });
    this.pipelines = new PipelineCache(gpu, info, this.#failures);
    this.submitter = new Submitter(gpu);
    if (this.isSoftware && hostThreads > 1) this.warmUp = new WarmUp(this, () => this.#openHelper());
    this.#buffers = new BufferFactory(gpu, limits.maxBufferSize, {
      destroyed: (buffer) => this.bindGroups.forget(buffer),
      makeRoom: () => this.trim(),
      outOfMemory: (message, cause) => this.#failures.outOfMemory(message, cause),
    });
    this.#pool = new Pool(this.#buffers);
    this.#recordings = new Recordings(this.#buffers);
    this.bindGroups = new BindGroupCache(this);
    this.#placeholder = new Tensor(this, this.#pool.take(256, "placeholder"), [64], "f32");
    this.tickets = new Tensor(this, this.#pool.take(256, "tickets"), [64], "u32");
    this.#buffers.counters.liveBytes = 0;
  }

  /**
   * Asks `gpu` for an adapter and a device with what limn can use of it.
   * @throws AdapterError NO_ADAPTER, NO_DEVICE, TIER_UNSUPPORTED, F16_UNSUPPORTED; UsageError INVALID_OPTION
   */
  static async create(gpu: GPU, options: DeviceOptions = {}): Promise<Device> {
    return new Device(gpu, await requestDevice(gpu, options), options);
  }

  get counters(): DeviceCounters {
    return this.submitter.counters;
  }

  /** Sizes for subgroup matrices; undefined where this device has none that limn can use. */
  get matrixConfig(): MatrixConfig | undefined {
    return this.features.has(matrixFeature) && this.features.has("shader-f16")
      ? matrixConfigOf(this.info, this.subgroupSize)
      : undefined;
  }

  get memory(): Readonly<MemoryCounters> {
    return this.#buffers.counters;
  }

  /** The error that ended this device's usefulness, if any. */
  get failure(): LimnError | undefined {
    return this.#failures.failure;
  }

  /** A buffer of the engine's own, outside the pool. @throws OutOfMemoryError GPU_OUT_OF_MEMORY */
  allocate(descriptor: GPUBufferDescriptor): GPUBuffer {
    return this.#buffers.allocate(descriptor);
  }

  /** A tensor whose contents are undefined: its memory may have been another's. */
  empty(shape: readonly number[], dtype: DType = this.storage, label = "tensor"): Tensor {
    const bytes = Math.max(16, elementCount(shape) * bytesPerElement[dtype]);
    const allocation = (this.#recordings.isOn ? this.#recordings.memory : this.#pool).take(bytes, label);
    this.#scopes.add(allocation);
    return new Tensor(this, allocation, [...shape], dtype);
  }

  /** A tensor that has no memory until `unpark`: work that uses it may be recorded. */
  parked(shape: readonly number[], dtype: DType, label: string): Tensor {
    const allocation = this.#pool.take(Math.max(16, elementCount(shape) * bytesPerElement[dtype]), label, true);
    this.#scopes.add(allocation);
    return new Tensor(this, allocation, [...shape], dtype);
  }

  /** Gives the memory of tensors back for a while; what they hold is lost. */
  park(tensors: readonly Tensor[]): void {
    const parked = new Set(tensors.map(({ allocation }) => allocation));
    this.#recordings.unbind(parked);
    for (const allocation of parked) if (allocation instanceof PooledAllocation) allocation.park();
    this.trim();
  }

  /** Gives a parked tensor memory again; its contents are undefined. */
  unpark({ allocation }: Tensor): void {
    if (allocation instanceof PooledAllocation) allocation.unpark();
  }

  /** A tensor of x's shape and dtype, in the same slots where x lies in some and one is left. */
  emptyLike(x: Tensor, label?: string): Tensor {
    const slot = this.#recordings.isOn ? undefined : x.allocation.slots?.take(label);
    return slot ? slot.reshape(x.shape) : this.empty(x.shape, x.dtype, label);
  }

  /** The innermost scope frees this when it ends. */
  own(allocation: Allocation): void {
    this.#scopes.add(allocation);
  }

  /**
   * A tensor with `data`: Float32Array becomes f32, or f16 when asked; Uint16Array is f16 bits; Uint32Array is u32.
   * @throws ShapeError for another number of values; LimnError IN_CAPTURE
   */
  upload(data: Float32Array | Uint16Array | Uint32Array, shape: readonly number[], dtype?: DType, label = "upload"): Tensor {
    const type = dtype ?? (data instanceof Float32Array ? "f32" : data instanceof Uint16Array ? "f16" : "u32");
    if (data.length !== elementCount(shape))
      throw new ShapeError(`upload: ${data.length} values for the shape [${shape.join(", ")}] of ${elementCount(shape)}`);
    this.#recordings.expectOff("upload");
    const tensor = this.empty(shape, type, label);
    this.write(tensor, data);
    return tensor;
  }

  /** Overwrites a tensor's elements, after all work recorded so far. */
  write(tensor: Tensor, data: Float32Array | Uint16Array | Uint32Array): void {
    this.#recordings.expectOff("write");
    expectUsable("write", tensor, this);
    // writeBuffer overtakes commands that are not submitted yet, and they may still read this memory.
    this.flush();
    const words = tensor.dtype === "f16" && data instanceof Float32Array ? f32ToF16(data) : data;
    const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
    if (bytes.length !== tensor.bytes || tensor.offset % 4 !== 0) {
      const place = `${tensor.label} has ${tensor.bytes} from byte ${tensor.offset} on`;
      throw new ShapeError(`write: ${bytes.length} bytes, but ${place}: as many must be given, from a multiple of 4 on`);
    }
    const padded = bytes.byteLength % 4 === 0 ? bytes : new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
    if (padded !== bytes) padded.set(bytes);
    this.gpu.queue.writeBuffer(tensor.buffer.gpu, tensor.offset, padded as Uint8Array<ArrayBuffer>);
  }

  /** Runs `fn` and frees every tensor made inside, except those it returns (a tensor, or an array or record of them). @throws LimnError ASYNC_SCOPE */
  scope<T>(fn: () => T): T {
    return this.#scopes.run(fn);
  }

  /** Records what `fn` launches without running it. See capture.ts. @throws LimnError NESTED_CAPTURE */
  capture<T>(fn: () => T): Capture<T> {
    return this.#recordings.capture(this, this.#scopes, fn);
  }

  /** Runs `fn`, which makes things that live on; if it throws, every tensor and capture that it made is given back. */
  allOrNothing<T>(fn: () => T): T {
    const mark = this.#recordings.mark();
    const outcome = this.#scopes.collect(fn);
    if ("error" in outcome) {
      this.#recordings.disposeSince(mark);
      for (const allocation of outcome.made) allocation.release();
      throw outcome.error;
    }
    for (const allocation of outcome.made) this.#scopes.add(allocation);
    return outcome.result;
  }

  /** Bytes that captured work needs for its activations, all captures together. */
  get activationBytes(): number {
    const { memory } = this.#recordings;
    memory.plan();
    return memory.bytes;
  }

  /** Whether the driver takes these kernels, as far as it has been asked: rungs are chosen among them. */
  accepts(...kernels: readonly string[]): boolean {
    return !kernels.some((name) => this.#refused.has(name));
  }

  /** What a user should know about the kernels that the driver refused, one line each. */
  get refusals(): string[] {
    return [...this.#refused.keys()].map((name) => `the driver refuses kernel ${name}: a slower one takes its place`);
  }

  /**
   * After the driver refused a kernel and its user let go of what was recorded: launches of it throw `error` from now on, so that
   * another rung may be chosen where there is one. False where the device is of no use any more, or nothing has changed.
   */
  async refuse(error: ShaderError): Promise<boolean> {
    const kernel = String(error.context["kernel"]);
    if (this.#refused.has(kernel)) return false;
    this.#refused.set(kernel, error);
    return this.#recover((failure) => failure === error || failure instanceof ShaderError || failure.code === "GPU_ERROR");
  }

  /** Compiles a variant beside other work; on a software adapter to machine code, see warm-up.ts. */
  prepare(kernel: KernelDefinition, variant: Variant): Promise<void> {
    const compiled = this.pipelines.compile(kernel, variant);
    this.warmUp?.add({ kernel, variant }, compiled);
    return compiled;
  }

  /** See Warmer. */
  warm(job: WarmUpJob): Promise<void> {
    return dispatchNothing(this.gpu, this.pipelines, job);
  }

  /** Adds one dispatch to what is being recorded. Called by Kernel.launch. */
  record(
    kernel: KernelDefinition,
    variant: Variant,
    tensors: readonly (Tensor | undefined)[],
    uniforms: Readonly<Record<string, number>>,
    grid: Grid,
  ): void {
    const refusal = this.#refused.get(kernel.name);
    if (refusal) throw refusal;
    const bound = tensors.map((tensor) => tensor ?? this.#placeholder);
    for (const tensor of bound) expectBindable(kernel.name, tensor, this);
    if (this.#recordings.isOn) {
      const allocations = bound.map(({ allocation }) => allocation);
      this.#recordings.add({ kernel, variant, tensors: bound, uniforms, grid }, allocations);
      return;
    }
    this.counters.dispatches++;
    const compiled = this.pipelines.compileNow(kernel, variant);
    const bindings = bound.map(bindingOf);
    const known = () => this.bindGroups.get(compiled.layout, bindings, kernel, uniforms);
    let bindGroup = known();
    if (!bindGroup) {
      this.flush();
      this.bindGroups.clear();
      bindGroup = known()!;
    }
    this.#pending.push({ kernel: compiled, bindGroup, x: grid[0], y: grid[1] ?? 1, z: grid[2] ?? 1 });
  }

  /** Records a copy of `source`'s bytes into `target`, which has as many. Throws a ShapeError where it has not. */
  copy(source: Tensor, target: Tensor): void {
    expectCopyable(source, target, this);
    if (this.#recordings.isOn) this.#recordings.add({ source, target }, [source.allocation, target.allocation]);
    else this.#pending.push(copyCommand(source, target));
  }

  /** Submits what was recorded so far. */
  flush(): void {
    if (this.#pending.length === 0) return;
    const commands = this.#pending;
    this.#pending = [];
    this.bindGroups.nextBatch();
    this.check();
    this.submitter.submit(commands);
  }

  /** Submits a capture's commands, after what was recorded so far. */
  replay(replay: Replay): void {
    this.#recordings.expectOff("run");
    this.flush();
    this.check();
    this.counters.dispatches += replay.commands.length;
    this.submitter.replay(replay);
  }

  /** Waits until the GPU has done all submitted work. Throws when the device has failed. */
  async idle(): Promise<void> {
    this.flush();
    await this.#failures.wait(this.gpu.queue.onSubmittedWorkDone());
    this.check();
  }

  /** Throws the first error that the GPU reported, if any: nothing computed after it can be trusted. */
  check(): void {
    this.#failures.check();
  }

  /** What the GPU reported first, if it reported anything; else `error`. Failures of a run are thrown as this. */
  causeOf(error: unknown): Promise<unknown> {
    return this.#failures.causeOf(error);
  }

  /**
   * After memory ran out and its taker let go of everything: gives what is free back to the driver and lets work go on. False
   * where another failure has ended the device.
   */
  recoverMemory(): Promise<boolean> {
    return this.#recover((failure) => failure instanceof OutOfMemoryError);
  }

  /** The bytes of a tensor, after all work recorded so far. */
  async readBytes(tensor: Tensor): Promise<ArrayBuffer> {
    this.#recordings.expectOff("read");
    this.flush();
    this.check();
    return readBack(this, this.#failures, tensor);
  }

  /** Gives free memory back to the driver. */
  trim(): void {
    this.flush();
    this.#pool.trim();
  }

  /** Ends the device. Tensors of it can't be used any more. */
  close(): void {
    this.warmUp?.close();
    this.#failures.close();
    this.gpu.destroy();
  }

  /** Another device of the same driver. */
  async #openHelper(): Promise<Device | undefined> {
    const adapter = await this.origin.requestAdapter({ powerPreference: "high-performance" });
    const isSame = adapter !== null && adapterName(adapter.info) === adapterName(this.info);
    return isSame ? Device.create(this.origin, { adapter }) : undefined;
  }

  /** Lets work go on after a failure that its taker has dealt with. */
  async #recover(isMended: (failure: LimnError) => boolean): Promise<boolean> {
    this.#pending = [];
    this.bindGroups.nextBatch();
    // What was submitted before may still report what it misses.
    await this.#failures.wait(this.gpu.queue.onSubmittedWorkDone()).catch(() => {});
    this.#pool.trim();
    return this.#failures.forget(isMended);
  }
}
