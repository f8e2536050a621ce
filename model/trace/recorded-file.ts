/** @file A safetensors file as a cases file. */
import type { SafetensorsFile } from "../checkpoint/safetensors.ts";
import { readValues } from "../checkpoint/values.ts";
import type { RecordedTensors } from "./trace-case.ts";

/** Integers and bytes are read as the numbers they stand for. */
export function recordedFile(file: SafetensorsFile): RecordedTensors {
  return {
    metadata: Object.fromEntries(file.metadata),
    shapes: new Map([...file.tensors].map(([name, { shape }]) => [name, shape])),
    read: (name) => readValues(file, name),
  };
}
