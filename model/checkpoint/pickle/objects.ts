/** @file What a pickle can come to here: plain data, views of tensors, and objects that do nothing. No code of the file is ever run. */
import type { FileDType } from "../dtypes.ts";

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleList
  | PickleDict
  | PickleGlobal
  | PickleObject
  | PickleStorage
  | PickleTensor;

/** A list, tuple or set. */
export class PickleList {
  readonly items: PickleValue[];

  constructor(items: PickleValue[] = []) {
    this.items = items;
  }
}

/** A dict, OrderedDict or defaultdict; attributes set on one are dropped. */
export class PickleDict {
  readonly entries = new Map<PickleValue, PickleValue>();

  get(key: string | number): PickleValue | undefined {
    return this.entries.get(key);
  }
}

/** A name in a Python module: never looked up, only compared. */
export class PickleGlobal {
  readonly module: string;
  readonly name: string;

  constructor(module: string, name: string) {
    this.module = module;
    this.name = name;
  }

  get path(): string {
    return `${this.module}.${this.name}`;
  }
}

/** What some class or function of the file's own would have made: kept as data, with the state it would have been given. */
export class PickleObject {
  readonly made: string;
  state: PickleValue = null;

  constructor(made: string) {
    this.made = made;
  }
}

/** Numbers in the file that tensors are views of. */
export interface PickleStorage {
  readonly kind: "storage";
  /** Name of its bytes in the file. */
  readonly key: string;
  /** Undefined for bytes without a type of their own: the tensor says. */
  readonly dtype: FileDType | undefined;
  /** Elements; bytes where there is no dtype. */
  readonly count: number;
  /** First element, in a legacy file's view of another storage. */
  readonly first: number;
}

/** A view of a storage; offset and strides count elements. */
export interface PickleTensor {
  readonly kind: "tensor";
  readonly storage: PickleStorage;
  readonly dtype: FileDType;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
}

export function isTensor(value: PickleValue | undefined): value is PickleTensor {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "tensor";
}

export function isStorage(value: PickleValue | undefined): value is PickleStorage {
  return typeof value === "object" && value !== null && "kind" in value && value.kind === "storage";
}

/** The name of a class or function that an object is of, for messages; undefined for plain data. */
export function madeBy(value: PickleValue | undefined): string | undefined {
  if (value instanceof PickleObject) return value.made;
  return value instanceof PickleGlobal ? value.path : undefined;
}
