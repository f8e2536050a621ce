/** @file What each option of loading must be. */
import {
  aBoolean,
  aFunction,
  anAbortSignal,
  aWholeNumber,
  expectKinds,
  isObject,
  type Kind,
  needed,
  oneOf,
  record,
  withMethods,
} from "../engine/index.ts";
import type { LoadOptions } from "./load.ts";

const kinds: Record<keyof LoadOptions, Kind> = {
  device: { ...needed(withMethods("a Device", "capture", "causeOf")), hint: "give one: await Device.create(gpu)" },
  vae: { what: "a ByteSource or a ByteFolder", is: isObject },
  prediction: oneOf("eps", "v"),
  picture: record({}), // looked at where it is planned
  strict: aBoolean,
  allowNonfinite: aBoolean,
  lowMemory: aBoolean,
  vaePrecision: oneOf("f32", "f16"),
  precisions: withMethods("a PrecisionMemory", "recall", "remember"),
  maxHeader: aWholeNumber,
  onProgress: aFunction,
  signal: anAbortSignal,
};

/** @throws UsageError INVALID_OPTION */
export function expectLoadOptions(options: LoadOptions): void {
  expectKinds("load", options, kinds);
}
