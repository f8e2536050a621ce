/** @file Sources of a caller's own, held to what they promise: exactly the bytes asked for, and an end to waiting where a signal says so. */
import { isObject, ModelFileError, UsageError, withMethods } from "../../engine/index.ts";
import { isFolder, type ModelSource } from "./byte-folder.ts";
import type { ByteSource } from "./byte-source.ts";

/** How long reads are waited for: until a signal says no more. Which one changes, as a model's source outlives the call that opened it. */
export class Patience {
  readonly #waits = new Set<(reason: unknown) => void>();
  #signal: AbortSignal | undefined;
  readonly #stop = (): void => {
    for (const end of this.#waits) end(this.#signal?.reason);
  };

  constructor(signal?: AbortSignal) {
    this.until(signal);
  }

  /** From here on this signal ends what is waited for; undefined: nothing does. */
  until(signal: AbortSignal | undefined): void {
    this.#signal?.removeEventListener("abort", this.#stop);
    this.#signal = signal;
    signal?.addEventListener("abort", this.#stop);
  }

  /** As `await work()`, whatever the work does. */
  async wait<T>(work: () => Promise<T>): Promise<T> {
    this.#signal?.throwIfAborted();
    let end: ((reason: unknown) => void) | undefined;
    const aborted = new Promise<never>((_, reject) => {
      end = reject;
      this.#waits.add(reject);
    });
    try {
      return await Promise.race([work(), aborted]);
    } finally {
      this.#waits.delete(end!);
    }
  }
}

const checked = new WeakSet<ByteSource>();

/** @throws UsageError INVALID_SOURCE; its reads: ModelFileError SOURCE_READ, the signal's reason, and what the source throws */
export function checkedSource(given: ByteSource, patience = new Patience()): ByteSource {
  if (checked.has(given)) return given;
  expectSource(given);
  const { name, size } = given;
  const source: ByteSource = {
    name,
    size,
    async read(begin, end, into) {
      const bytes: unknown = await patience.wait(async () => given.read(begin, end, into));
      if (bytes instanceof Uint8Array && bytes.length === end - begin) return bytes;
      const got = bytes instanceof Uint8Array ? `${bytes.length} bytes` : "no Uint8Array";
      throw new ModelFileError("SOURCE_READ", `${name}: its source gave ${got} for the ${end - begin} from byte ${begin} on`, {
        hint: "read(begin, end) of a source gives a Uint8Array of exactly end - begin bytes",
        context: { file: name, begin, end },
      });
    },
    ...(given.unchanged && { unchanged: async () => patience.wait(async () => given.unchanged!()) }),
    ...(given.beside && {
      beside: async (path: string) => checkedSource(await patience.wait(async () => given.beside!(path)), patience),
    }),
    ...(given.close && { close: async () => given.close!() }),
  };
  checked.add(source);
  return source;
}

/** The same for a folder and its files. @throws UsageError INVALID_SOURCE */
export function checkedModelSource(given: ModelSource, patience: Patience): ModelSource {
  const thing: unknown = given; // callers without types may give anything
  if (!(isObject(thing) && isFolder(given))) return checkedSource(thing as ByteSource, patience);
  const { name, files } = given;
  if (!(withMethods("", "has", "values").is(files) && typeof given.open === "function"))
    throw notASource(thing, "a folder has `files`, a Set of paths, and open(path)");
  const open = async (path: string) => checkedSource(await patience.wait(async () => given.open(path)), patience);
  return { name, files, open, ...(given.close && { close: async () => given.close!() }) };
}

/** @throws UsageError INVALID_SOURCE */
function expectSource(given: unknown): void {
  if (isObject(given) && typeof given["read"] === "function" && Number.isSafeInteger(given["size"]) && Number(given["size"]) >= 0)
    return;
  throw notASource(given, hintFor(given));
}

function notASource(given: unknown, hint: string): UsageError {
  const what =
    given === null ? "null" : Array.isArray(given) ? "an array" : isObject(given) ? nameOf(given) : `a ${typeof given}`;
  return new UsageError("INVALID_SOURCE", `a model's bytes come from a ByteSource or a ByteFolder, and this is ${what}`, {
    hint,
  });
}

function nameOf(given: object): string {
  return `an object of class ${String(given.constructor?.name)}`;
}

/** How to make a source of what was given in its place. */
function hintFor(given: unknown): string {
  if (typeof given === "string" || given instanceof URL)
    return "for an address: await openUrl(address); for a path in Node: new BlobSource(await openAsBlob(path), path)";
  if (typeof Blob !== "undefined" && given instanceof Blob) return "wrap it: new BlobSource(blob, name)";
  if (given instanceof ArrayBuffer) return "wrap it: new MemorySource(new Uint8Array(buffer), name)";
  if (given instanceof Uint8Array) return "wrap it: new MemorySource(bytes, name)";
  return "a source has `size`, its bytes in all, and read(begin, end); BlobSource, MemorySource and openUrl give one";
}
