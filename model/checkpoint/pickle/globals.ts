/** @file The names of Python that a torch file may mention: those with a meaning for tensors, and those that would run code. */
import type { FileDType } from "../dtypes.ts";

/** `torch.FloatStorage` and its kin. */
export const storageTypes: ReadonlyMap<string, FileDType | undefined> = new Map<string, FileDType | undefined>([
  ["torch.FloatStorage", "F32"],
  ["torch.HalfStorage", "F16"],
  ["torch.BFloat16Storage", "BF16"],
  ["torch.DoubleStorage", "F64"],
  ["torch.LongStorage", "I64"],
  ["torch.IntStorage", "I32"],
  ["torch.ShortStorage", "I16"],
  ["torch.CharStorage", "I8"],
  ["torch.ByteStorage", "U8"],
  ["torch.BoolStorage", "BOOL"],
  ["torch.ComplexFloatStorage", "C64"],
  ["torch.UntypedStorage", undefined],
  ["torch.storage.UntypedStorage", undefined],
]);

/** `torch.float8_e4m3fn` and its kin, which the newer form of a tensor names. */
export const tensorTypes: ReadonlyMap<string, FileDType> = new Map<string, FileDType>([
  ["torch.float32", "F32"],
  ["torch.float16", "F16"],
  ["torch.bfloat16", "BF16"],
  ["torch.float64", "F64"],
  ["torch.float8_e4m3fn", "F8_E4M3"],
  ["torch.float8_e5m2", "F8_E5M2"],
  ["torch.float8_e4m3fnuz", "F8_E4M3FNUZ"],
  ["torch.float8_e5m2fnuz", "F8_E5M2FNUZ"],
  ["torch.float8_e8m0fnu", "F8_E8M0"],
  ["torch.int64", "I64"],
  ["torch.int32", "I32"],
  ["torch.int16", "I16"],
  ["torch.int8", "I8"],
  ["torch.uint8", "U8"],
  ["torch.uint16", "U16"],
  ["torch.uint32", "U32"],
  ["torch.uint64", "U64"],
  ["torch.bool", "BOOL"],
  ["torch.complex64", "C64"],
]);

/** Modules that no weights need and that code in a pickle is run through. */
const modules = new Set(
  (
    "os posix nt subprocess sys importlib imp runpy pkgutil zipimport socket socketserver ssl shutil ctypes _ctypes cffi pty commands popen2 " +
    "code codeop webbrowser asyncio multiprocessing threading _thread concurrent http urllib urllib2 urllib3 requests httpx aiohttp ftplib " +
    "smtplib telnetlib xmlrpc pip ensurepip pdb bdb timeit cProfile profile trace pickle _pickle cPickle marshal shelve dill cloudpickle joblib " +
    "signal platform tempfile pydoc doctest distutils setuptools antigravity winreg _winreg msvcrt _winapi site atexit fileinput " +
    "linecache nturl2path paramiko fabric sh plumbum torch.hub torch.utils.cpp_extension torch._dynamo torch._inductor torch.package"
  ).split(" "),
);

const builtins = new Set(["builtins", "__builtin__", "__builtins__"]);
/** The only built-in names that data is made of. */
const plainBuiltins = new Set(
  "set frozenset list dict tuple int float complex bool str bytes bytearray long unicode object slice range type".split(" "),
);
const functions = new Set(
  (
    "types.CodeType types.FunctionType types.ModuleType codecs.open io.open _io.open io.FileIO _io.FileIO torch.load " +
    "torch.serialization.load numpy.load operator.attrgetter operator.methodcaller _operator.attrgetter _operator.methodcaller"
  ).split(" "),
);

/**
 * True for a name that weights never need and that runs code. It would not be run here either: the file is refused because it
 * means harm. What is not on the list does nothing, as everything else does.
 */
export function runsCode(module: string, name: string): boolean {
  if (builtins.has(module)) return !plainBuiltins.has(name);
  const path = module.split(".");
  // A dotted name (`STACK_GLOBAL` allows one) reaches through one module into another.
  const reached = [...path, ...name.split(".").slice(0, -1)];
  return (
    path.some((_, i) => modules.has(path.slice(0, i + 1).join("."))) ||
    reached.slice(1).some((part) => part === "os" || part === "sys" || part === "subprocess") ||
    functions.has(`${module}.${name}`)
  );
}
