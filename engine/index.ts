export { adapterName } from "./adapter-name.ts";
export { Capture } from "./capture.ts";
export { Device } from "./device.ts";
export { bytesPerElement, type DType, f16ToF32, f32ToF16, fromF16Bits, toF16Bits } from "./dtype.ts";
export * from "./errors.ts";
export {
  type BufferSpec,
  defineKernel,
  defineSnippet,
  Kernel,
  KernelDefinition,
  type KernelSpec,
  type Snippet,
  type Variant,
} from "./kernel.ts";
export {
  aBigint,
  aBoolean,
  aFunction,
  aNumber,
  anAbortSignal,
  aString,
  aWholeNumber,
  bytes,
  expectKind,
  expectKinds,
  floats,
  isObject,
  type Kind,
  listOf,
  needed,
  type OptionKinds,
  oneOf,
  record,
  withMethods,
} from "./option-types.ts";
export { type MemoryCounters, sizeClass } from "./pool.ts";
export { writeModule } from "./preamble.ts";
export { Profiler, type Timing } from "./profiler.ts";
export { expectBindable } from "./recorder.ts";
export type { DeviceOptions } from "./request.ts";
export { describe, expectSameShape, expectShape, foldGroups, type Grid, perElement } from "./shape.ts";
export { Slots, slotBegin } from "./slots.ts";
export type { DeviceCounters } from "./submitter.ts";
export { elementCount, Tensor } from "./tensor.ts";
export {
  detectTier,
  type MatrixConfig,
  matrixConfigOf,
  matrixFeature,
  type Precision,
  storageFor,
  type Tier,
  tiers,
} from "./tier.ts";
