/**
 * @file What a call in a torch pickle makes: tensors from storages (`torch._utils`, `torch.serialization.persistent_load`), plain
 * containers, and for everything else an object that does nothing.
 */
import { bitsOf, type FileDType } from "../dtypes.ts";
import { refuse } from "./failure.ts";
import { storageTypes, tensorTypes } from "./globals.ts";
import {
  isStorage,
  isTensor,
  madeBy,
  PickleDict,
  PickleGlobal,
  PickleList,
  PickleObject,
  type PickleStorage,
  type PickleTensor,
  type PickleValue,
} from "./objects.ts";

/** torch's own limit of axes. */
const maxAxes = 64;

/** `callee(*args)`. Only what makes tensors and containers has a meaning. @throws ModelFileError PICKLE_TENSOR */
export function call(file: string, callee: PickleValue, args: readonly PickleValue[]): PickleValue {
  if (!(callee instanceof PickleGlobal)) return new PickleObject(madeBy(callee) ?? "an object");
  const [first, second, third] = args;
  switch (callee.path) {
    case "torch._utils._rebuild_tensor":
    case "torch._utils._rebuild_tensor_v2":
      return tensor(file, args, undefined);
    case "torch._utils._rebuild_tensor_v3":
      return tensor(file, args, args[6] instanceof PickleGlobal ? tensorTypes.get(args[6].path) : undefined);
    case "torch._utils._rebuild_parameter":
    case "torch._utils._rebuild_parameter_with_state":
      return isTensor(first) ? first : new PickleObject(callee.path);
    case "torch._tensor._rebuild_from_type":
    case "torch._tensor._rebuild_from_type_v2": // a tensor that somebody has set attributes on
      // Never one in another: a pickle could nest them deeper than calls may go.
      return first instanceof PickleGlobal &&
        !rebuildsAType(first) &&
        second instanceof PickleGlobal &&
        third instanceof PickleList
        ? call(file, first, third.items)
        : new PickleObject(callee.path);
    case "torch.Size":
      return first instanceof PickleList ? first : new PickleList();
    case "collections.OrderedDict":
    case "collections.Counter":
    case "builtins.dict":
    case "__builtin__.dict":
      return dictOf(first);
    case "collections.defaultdict":
      return dictOf(second);
    case "builtins.set":
    case "__builtin__.set":
    case "builtins.list":
    case "__builtin__.list":
      return first instanceof PickleList ? new PickleList([...first.items]) : new PickleList();
    default:
      return new PickleObject(callee.path);
  }
}

function rebuildsAType({ path }: PickleGlobal): boolean {
  return path.startsWith("torch._tensor._rebuild_from_type");
}

/** A dict's copy, or one made of a list of pairs. */
function dictOf(from: PickleValue | undefined): PickleDict {
  const dict = new PickleDict();
  if (from instanceof PickleDict) for (const [key, value] of from.entries) dict.entries.set(key, value);
  if (from instanceof PickleList) {
    for (const pair of from.items) {
      if (pair instanceof PickleList && pair.items.length === 2) dict.entries.set(pair.items[0]!, pair.items[1]!);
    }
  }
  return dict;
}

/**
 * ('storage', type, key, device, elements), in legacy files with (key of the view, first element, elements) or None behind.
 * @throws ModelFileError PICKLE_TENSOR, PICKLE_OBJECT
 */
export function persistent(file: string, id: PickleValue): PickleValue {
  const [kind, type, key, , count, view] = id instanceof PickleList ? id.items : [];
  if (kind === "module") return type ?? null; // legacy: a class, with its source
  const typed = type instanceof PickleGlobal && storageTypes.has(type.path) ? type : undefined;
  if (kind !== "storage" || typed === undefined || typeof key !== "string") {
    return refuse(
      "PICKLE_TENSOR",
      file,
      `a storage of an unknown kind (${madeBy(type) ?? "none"})`,
      "save the model again with plain tensors",
    );
  }
  const whole: PickleStorage = { kind: "storage", key, dtype: storageTypes.get(typed.path), count: size(file, count), first: 0 };
  if (!(view instanceof PickleList)) return whole;
  const [, first, length] = view.items;
  const part = { ...whole, first: size(file, first), count: size(file, length) };
  if (part.first + part.count > whole.count) {
    refuse(
      "PICKLE_TENSOR",
      file,
      `a view ends at element ${part.first + part.count} of a storage of ${whole.count}`,
      "the file is damaged",
    );
  }
  return part;
}

/** (storage, offset, shape, strides, ...) -> a tensor that lies within its storage. */
function tensor(
  file: string,
  [storage, offset, shape, strides]: readonly PickleValue[],
  stated: FileDType | undefined,
): PickleTensor {
  if (!isStorage(storage)) {
    return refuse(
      "PICKLE_TENSOR",
      file,
      `a tensor's storage is ${madeBy(storage) ?? "no storage"}`,
      "save the model again with plain tensors",
    );
  }
  const dtype = stated ?? storage.dtype;
  if (dtype === undefined)
    return refuse("PICKLE_TENSOR", file, "a tensor without a known dtype", "save it again as float16 or float32");
  const made = {
    kind: "tensor" as const,
    storage,
    dtype,
    offset: size(file, offset),
    shape: sizes(file, shape),
    strides: sizes(file, strides),
  };
  if (made.shape.length !== made.strides.length) {
    refuse(
      "PICKLE_TENSOR",
      file,
      `a tensor of ${made.shape.length} axes with ${made.strides.length} strides`,
      "the file is damaged",
    );
  }
  // Number() would round what is too large for it: every partial result is checked.
  const elements = checked(
    file,
    made.shape.reduce((product, length) => checked(file, product * length), 1),
  );
  if (elements === 0) return made;
  const last = made.shape.reduce(
    (sum, length, i) => checked(file, sum + checked(file, (length - 1) * made.strides[i]!)),
    made.offset,
  );
  const room = Math.floor(storage.dtype === undefined ? (storage.count * 8) / bitsOf(dtype) : storage.count);
  if (last >= room) {
    refuse(
      "PICKLE_TENSOR",
      file,
      `a tensor [${made.shape}] with strides [${made.strides}] reaches element ${last} of a storage of ${room}`,
      "the file is damaged",
    );
  }
  if (elements > room) {
    refuse(
      "PICKLE_TENSOR",
      file,
      `a tensor [${made.shape}] of ${elements} elements in a storage of ${room}`,
      "save it again with .contiguous()",
    );
  }
  return made;
}

function sizes(file: string, list: PickleValue | undefined): number[] {
  if (list instanceof PickleList && list.items.length <= maxAxes) return list.items.map((item) => size(file, item));
  return refuse("PICKLE_TENSOR", file, "a tensor without a shape", "the file is damaged");
}

function size(file: string, value: PickleValue | undefined): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  return refuse("PICKLE_TENSOR", file, "a tensor's size, offset or stride is no whole number from 0 up", "the file is damaged");
}

function checked(file: string, value: number): number {
  if (Number.isSafeInteger(value)) return value;
  return refuse("PICKLE_TENSOR", file, "a tensor has too many elements", "the file is damaged");
}
