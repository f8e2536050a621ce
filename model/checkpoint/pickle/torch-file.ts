/**
 * @file A file by torch.save (.ckpt, .pt, .pth, .bin) as a directory of tensors, as openSafetensors gives one: names, shapes, and
 * where the bytes stand, so that the same loader streams them. Nothing of the file is run, and only its pickle is read here.
 */
import type { ByteSource } from "../byte-source.ts";
import { bitsOf } from "../dtypes.ts";
import { maxTensors } from "../header-scanner.ts";
import { JoinedSource } from "../joined-source.ts";
import { printable } from "../printable.ts";
import type { SafetensorsFile, TensorEntry } from "../safetensors.ts";
import { refuse } from "./failure.ts";
import { isTensor, madeBy, PickleDict, PickleList, PickleObject, type PickleTensor, type PickleValue } from "./objects.ts";
import { isContiguous, StridedSource } from "./strided-source.ts";
import { openLegacy, openZip, type TorchArchive, torchForm } from "./torch-archive.ts";

export interface TorchFile extends SafetensorsFile {
  /** Everything that was saved: numbers and texts stand beside the tensors in hypernetworks. */
  readonly root: PickleValue;
}

/** Under which names the weights stand in a file that holds more: Lightning's, and those of BasicSR and its kin. The first counts. */
const wrappers = ["state_dict", "params_ema", "params-ema", "params"];
const maxDepth = 16;
const maxVisits = 300_000;
const maxName = 4096;
/** Longest stretch that is read to gather a piece of a tensor that does not lie row by row. */
const maxSpan = 512 * 1024 * 1024;

/**
 * Opens a file by torch.save. Names are joined with dots; what stands beside the weights (an optimizer's state) is left out.
 * @throws ModelFileError PICKLE_FORMAT, PICKLE_TRUNCATED, PICKLE_COMPRESSED, PICKLE_DUPLICATE, PICKLE_TOO_LARGE, PICKLE_CODE,
 *   PICKLE_OBJECT, PICKLE_TENSOR
 */
export async function openTorch(source: ByteSource): Promise<TorchFile> {
  const start = await source.read(0, Math.min(64, source.size));
  const archive = torchForm(start) === "legacy" ? await openLegacy(source) : await openZip(source);
  const named = namedTensors(source.name, weightsOf(source.name, archive.root));
  return { ...lay(source, archive, named), metadata: new Map(), headerBytes: archive.headerBytes, root: archive.root };
}

/** The dict of the weights. @throws ModelFileError PICKLE_OBJECT */
function weightsOf(file: string, root: PickleValue): PickleValue {
  for (const wrapper of wrappers) {
    const inner = root instanceof PickleDict ? root.get(wrapper) : undefined;
    if (inner instanceof PickleDict) return inner;
    const made = madeBy(inner);
    if (made !== undefined) refuseObject(file, `its ${wrapper}`, made);
  }
  const made = madeBy(root);
  if (made !== undefined) refuseObject(file, "it", made);
  return root;
}

function refuseObject(file: string, what: string, made: string): never {
  return refuse(
    "PICKLE_OBJECT",
    file,
    `${what} is a Python object (${made}), not a dict of tensors`,
    "objects are never brought to life here: save model.state_dict() instead, or get a .safetensors version",
    {
      global: made.slice(0, 200),
    },
  );
}

/** Every tensor below `root` by its path. An object of unknown class hides what is in it, but for torch's ParameterDict. */
function namedTensors(file: string, root: PickleValue): Map<string, PickleTensor> {
  const found = new Map<string, PickleTensor>();
  let visits = 0;
  const visit = (value: PickleValue, path: string, depth: number): void => {
    if (++visits > maxVisits || depth > maxDepth || found.size > maxTensors || path.length > maxName) {
      refuse(
        "PICKLE_TOO_LARGE",
        file,
        `more than ${maxTensors} tensors or ${maxVisits} values, nested more than ${maxDepth} deep, or a name longer than ${maxName}`,
        "no model is like that",
      );
    }
    if (isTensor(value)) {
      if (found.has(path))
        refuse(
          "PICKLE_DUPLICATE",
          file,
          `two tensors of the name "${printable(path)}"`,
          "the file is damaged: get it from its source",
        );
      found.set(path, value);
      return;
    }
    const made = value instanceof PickleObject ? value.made : undefined;
    if (made !== undefined && isNeeded(path, made)) {
      refuse(
        "PICKLE_OBJECT",
        file,
        `tensor "${printable(path)}" is a Python object (${made})`,
        "save it again as a plain tensor",
        {
          tensor: path.slice(0, 200),
          global: made.slice(0, 200),
        },
      );
    }
    for (const [key, inner] of childrenOf(value)) {
      if (typeof key === "string" || typeof key === "number")
        visit(inner, path === "" ? String(key) : `${path}.${key}`, depth + 1);
    }
  };
  visit(root, "", 0);
  return found;
}

/** An object in the place of a tensor: a sparse or quantised one, or something that a module would take for its weight. */
function isNeeded(path: string, made: string): boolean {
  return /^torch\._(utils|tensor)\./.test(made) || /(^|\.)(weight|bias)$/.test(path);
}

function childrenOf(value: PickleValue): Iterable<[PickleValue, PickleValue]> {
  if (value instanceof PickleDict) return value.entries;
  if (value instanceof PickleList) return value.items.entries();
  if (
    value instanceof PickleObject &&
    value.made === "torch.nn.modules.container.ParameterDict" &&
    value.state instanceof PickleDict
  ) {
    return childrenOf(value.state.get("_parameters") ?? null);
  }
  return [];
}

/** Entries of the source where tensors lie row by row; the others are appended to it as they are read. */
function lay(
  source: ByteSource,
  archive: TorchArchive,
  named: ReadonlyMap<string, PickleTensor>,
): { source: ByteSource; tensors: Map<string, TensorEntry> } {
  const tensors = new Map<string, TensorEntry>();
  const gathered: StridedSource[] = [];
  let end = source.size;
  for (const [name, { storage, dtype, offset, shape, strides }] of named) {
    const elementBytes = bitsOf(dtype) / 8;
    const place = archive.place(storage);
    const size = shape.reduce((product, length) => product * length, elementBytes);
    const begin = place.begin + (size === 0 ? 0 : offset * elementBytes); // nothing may be said to begin anywhere
    if (isContiguous(shape, strides)) {
      tensors.set(name, { name, dtype, shape, begin, end: begin + size });
      continue;
    }
    const span = shape.reduce((sum, length, axis) => sum + (length - 1) * strides[axis]!, 1) * elementBytes;
    if (span > maxSpan)
      refuse(
        "PICKLE_TOO_LARGE",
        source.name,
        `tensor "${printable(name)}" is spread over ${span} bytes`,
        "save it again with .contiguous()",
      );
    gathered.push(new StridedSource(source, { begin, elementBytes, shape, strides }));
    tensors.set(name, { name, dtype, shape, begin: end, end: end + size });
    end += size;
  }
  return { source: gathered.length === 0 ? source : new JoinedSource(source.name, [source, ...gathered]), tensors };
}
