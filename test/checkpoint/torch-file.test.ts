/** @file Row 27 of the fault catalogue, and what comes with it: files by torch.save are read without running anything in them. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { ModelFileError } from "../../engine/errors.ts";
import { type ByteSource, MemorySource } from "../../model/checkpoint/byte-source.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import { readConfig } from "../../model/checkpoint/config.ts";
import { openModelFile, openVaeFile } from "../../model/checkpoint/open.ts";
import { openTensors } from "../../model/checkpoint/open-tensors.ts";
import { openTorch } from "../../model/checkpoint/pickle/torch-file.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { createDevice } from "../kernels/harness.ts";
import { fixture, missingFixtures } from "../model/cases.ts";
import { skipped } from "../skip.ts";
import { readTensors } from "./as-folders.ts";
import {
  dictOps,
  join,
  op,
  pickle,
  tensorOps,
  torchCheckpoint,
  torchLegacy,
  torchZip,
  type View,
  zip,
  zipParts,
} from "./torch-writer.ts";

const saved = (name: string): Uint8Array => new Uint8Array(readFileSync(new URL(`../fixtures/pickle/${name}`, import.meta.url)));
const expected = JSON.parse(new TextDecoder().decode(saved("expected.json"))) as {
  state: Record<string, { dtype: string; shape: number[]; values: number[] }>;
};
const open = (bytes: Uint8Array) => openTorch(new MemorySource(bytes, "m.ckpt"));

async function refusal(bytes: Uint8Array): Promise<ModelFileError> {
  const error = await openTensors(new MemorySource(bytes, "m.ckpt")).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ModelFileError)) throw new Error(`expected a ModelFileError, got ${String(error)}`);
  expect(error.hint).toBeTruthy();
  expect(error.message).toContain("m.ckpt");
  return error;
}

describe("files written by torch 2.13", () => {
  test.each(["state.zip.ckpt", "state.legacy.ckpt", "protocol4.pt"])("%s: names, dtypes, shapes, values", async (name) => {
    const file = await open(saved(name));
    expect([...file.tensors.keys()]).toEqual(Object.keys(expected.state));
    for (const [key, { dtype, shape, values }] of Object.entries(expected.state)) {
      const entry = file.tensors.get(key)!;
      expect([key, entry.dtype, entry.shape]).toEqual([key, dtype, shape]);
      expect([key, ...(await readValues(file, key))]).toEqual([key, ...values.map(Math.fround)]);
    }
  });

  test("8-bit numbers", async () => {
    const file = await open(saved("float8.pt"));
    expect(file.tensors.get("eight")?.dtype).toBe("F8_E4M3");
    expect([...(await readValues(file, "eight")), ...(await readValues(file, "five"))]).toEqual([1, -2, 0.5, 1.5]);
  });

  test("parts of a tensor that does not lie row by row", async () => {
    const file = await open(saved("state.zip.ckpt"));
    for (const name of ["transposed", "last", "steps"]) {
      const { begin, end } = file.tensors.get(name)!;
      const whole = await file.source.read(begin, end);
      for (const [from, to] of [
        [0, 4],
        [3, 9],
        [13, 30],
        [end - begin - 1, end - begin],
        [5, 5],
      ] as const) {
        expect([...(await file.source.read(begin + from, begin + to))]).toEqual([...whole.subarray(from, to)]);
      }
    }
  });
});

describe.skipIf(skipped("sd1-tiny as .ckpt", missingFixtures))("sd1-tiny as .ckpt", () => {
  test.each(["zip", "legacy"] as const)("%s: the same tensors, the same model", async (form) => {
    const source = await openFile(fixture("sd1-tiny").model);
    const original = await openSafetensors(source);
    const tensors = [...(await readTensors(original)).values()];
    const file = await openModelFile(new MemorySource(torchCheckpoint(tensors, form), "sd1-tiny.ckpt"));
    expect([...file.tensors.keys()].sort()).toEqual([...original.tensors.keys()].sort());
    for (const { name, dtype, shape, bytes } of tensors) {
      const entry = file.tensors.get(name)!;
      expect([entry.dtype, entry.shape]).toEqual([dtype, shape]);
      expect(Buffer.compare(await file.source.read(entry.begin, entry.end), bytes)).toBe(0);
    }
    expect(await readConfig(file)).toEqual(await readConfig(original));
    await source.close();
  });
});

test.skipIf(skipped("sd1-tiny's VAE as .vae.pt", missingFixtures))("a VAE of its own as .vae.pt", async () => {
  const source = await openFile(fixture("sd1-tiny").model);
  const original = await openSafetensors(source);
  const prefix = "first_stage_model.";
  const tensors = [...(await readTensors(original)).values()].filter(({ name }) => name.startsWith(prefix));
  const renamed = tensors.map((tensor) => ({ ...tensor, name: tensor.name.slice(prefix.length) }));
  const vae = await openVaeFile(new MemorySource(torchCheckpoint(renamed), "sd1-tiny.vae.pt"));
  expect((await readConfig(original, { vae })).vae).toEqual({ ...(await readConfig(original)).vae, prefix: "" });
  await source.close();
});

describe("on the device", () => {
  let device: Awaited<ReturnType<typeof createDevice>>;
  beforeAll(async () => {
    device = await createDevice();
  });
  afterAll(() => device.close());

  test("the same loader takes a transposed matrix and a block of one", async () => {
    const file = await open(saved("state.zip.ckpt"));
    const checkpoint = new Checkpoint(file, device, { weightDType: "f32" });
    const made = await checkpoint.build((weights) => [
      weights.linear("transposed"),
      weights.linear("plain"),
      weights.vector("row"),
    ]);
    const { transposed, row } = expected.state;
    const [rows = 0, columns = 0] = transposed!.shape; // [6, 4] -> on the device [4, 8]
    const read = await made[0]!.read();
    const turned = Array.from({ length: columns }, (_, i) =>
      Array.from({ length: 8 }, (_, o) => (o < rows ? transposed!.values[o * columns + i]! : 0)),
    );
    expect([...read]).toEqual(turned.flat());
    expect([...(await made[2]!.read())]).toEqual([...row!.values, 0, 0]);
    checkpoint.free();
  });
});

/** Parts end to end; one that has only a length is zeros. */
class SparseSource implements ByteSource {
  readonly name = "big.ckpt";
  readonly size: number;
  bytesRead = 0;
  readonly #parts: readonly Uint8Array[];

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
    this.size = parts.reduce((sum, part) => sum + part.length, 0);
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - begin);
    this.bytesRead += bytes.length;
    let at = 0;
    for (const part of this.#parts) {
      const [from, to] = [Math.max(begin, at), Math.min(end, at + part.length)];
      if (from < to && part.byteLength > 0) bytes.set(part.subarray(from - at, to - at), from - begin);
      at += part.length;
    }
    return bytes;
  }
}

/** A file of one tensor "x" in a storage of six f32. */
const one = (view: Partial<View>): Uint8Array =>
  torchZip(pickle(dictOps({ x: tensorOps({ count: 6, shape: [2, 3], strides: [3, 1], ...view }) })), { 0: new Uint8Array(24) });
const data = (...parts: readonly (readonly number[])[]): Uint8Array => torchZip(pickle(...parts));
const bytes8 = new Uint8Array(8);

describe("code is never run", () => {
  test.each([
    ["os", "system"],
    ["posix", "system"],
    ["nt", "system"],
    ["subprocess", "Popen"],
    ["builtins", "eval"],
    ["builtins", "exec"],
    ["__builtin__", "getattr"],
    ["runpy", "_run_code"],
    ["importlib", "import_module"],
    ["webbrowser", "open"],
    ["torch.hub", "load"],
    ["torch.serialization", "os.system"],
    ["numpy.testing._private.utils", "os.system"],
    ["operator", "attrgetter"],
    ["types", "CodeType"],
    ["io", "open"],
  ])("%s.%s is refused by name", async (module, name) => {
    const error = await refusal(data(op.global(module, name), op.mark, op.text("echo harm"), op.tuple, op.reduce));
    expect(error.code).toBe("PICKLE_CODE");
    expect(error.message).toContain(`${module}.${name}`);
  });

  test("STACK_GLOBAL and INST as well", async () => {
    const stacked = data(op.text("os"), op.text("system"), [0x93]);
    const inst = data(op.mark, op.text("echo harm"), [0x69, ...new TextEncoder().encode("os\nsystem\n")]);
    expect([(await refusal(stacked)).code, (await refusal(inst)).code]).toEqual(["PICKLE_CODE", "PICKLE_CODE"]);
  });

  test("in a legacy file, in any of its pickles", async () => {
    const call = pickle(op.global("os", "system"), op.mark, op.text("x"), op.tuple, op.reduce);
    expect((await refusal(torchLegacy(call, {}))).code).toBe("PICKLE_CODE");
  });

  test("unknown names outside of the weights do nothing", async () => {
    const object = [
      ...op.global("lightning.callbacks", "Thing"),
      ...op.emptyTuple,
      0x81,
      ...dictOps({ a: op.int(1) }),
      ...op.build,
    ];
    const bytes = torchZip(
      pickle(dictOps({ hooks: object, state_dict: dictOps({ x: tensorOps({ count: 2, shape: [2], strides: [1] }) }) })),
      { 0: bytes8 },
    );
    expect([...(await open(bytes)).tensors.keys()]).toEqual(["x"]);
  });

  test.each([
    ["a whole module", op.global("torch.nn.modules.linear", "Linear"), /Python object \(torch\.nn\.modules\.linear\.Linear\)/],
    [
      "a state_dict of an unknown class",
      dictOps({ state_dict: [...op.global("a", "B"), ...op.emptyTuple, 0x81] }),
      /state_dict is a Python object \(a\.B\)/,
    ],
    [
      "a tensor of an unknown kind",
      dictOps({ x: [...op.global("torch._utils", "_rebuild_sparse_tensor"), ...op.emptyTuple, ...op.reduce] }),
      /tensor "x" is a Python object/,
    ],
    [
      "a weight of an unknown class",
      dictOps({ "a.weight": [...op.global("q", "Packed"), ...op.emptyTuple, ...op.reduce] }),
      /a\.weight/,
    ],
  ])("%s", async (_, made, message) => {
    const error = await refusal(data(made));
    expect([error.code, error.message]).toEqual(["PICKLE_OBJECT", expect.stringMatching(message)]);
  });
});

describe("a small pickle stays small", () => {
  const repeated = (times: number, ops: readonly number[]): number[] => Array.from({ length: times }, () => ops).flat();

  test("copies of copies: a dict that each call takes over whole", async () => {
    const size = 20_000;
    const pairs = Array.from({ length: size }, (_, i) => [...op.int(i), ...op.none]).flat();
    const first = [...op.emptyDict, ...op.put(0), ...op.mark, ...pairs, ...op.setItems];
    const copy = [...op.get(1), ...op.get(0), 0x85, ...op.reduce]; // OrderedDict(first)
    const bytes = data(first, op.global("collections", "OrderedDict"), op.put(1), repeated(1000, copy));
    const error = await refusal(bytes);
    expect([error.code, error.message]).toEqual(["PICKLE_TOO_LARGE", expect.stringContaining("copies")]);
  });

  test("calls within calls, deeper than a machine's stack", async () => {
    const depth = 100_000;
    const wrap = [...op.get(0), ...op.get(0)]; // _rebuild_from_type_v2(itself, a type, (...))
    const bytes = data(
      op.global("torch._tensor", "_rebuild_from_type_v2"),
      op.put(0),
      repeated(depth, wrap),
      op.emptyTuple,
      repeated(depth, [0x87]),
      op.reduce,
    );
    expect((await refusal(bytes)).code).toBe("PICKLE_OBJECT");
  });
});

describe("tensors stay within their storage", () => {
  test.each([
    ["too long", { shape: [7], strides: [1] }],
    ["too far", { offset: 1 }],
    ["too wide a stride", { strides: [4, 1] }],
    ["more elements than there are", { shape: [7, 1000], strides: [0, 0] }],
    ["beyond 2^53", { shape: [2 ** 32, 2 ** 32], strides: [0, 0] }],
    ["a stride beyond 2^53", { shape: [2, 3], strides: [2 ** 53, 1] }],
    ["shape and strides of other lengths", { strides: [1] }],
    ["more axes than torch has", { shape: Array<number>(65).fill(1), strides: Array<number>(65).fill(1) }],
    ["a storage that is not there", { key: "1" }],
    ["a storage that is shorter", { count: 7, shape: [7], strides: [1] }],
    ["a storage of no known type", { storage: "QUInt8Storage" }],
    ["a negative offset", { offset: -1 }],
  ] as const)("%s", async (_, view) => {
    expect((await refusal(one(view))).code).toBe("PICKLE_TENSOR");
  });

  test("a stride of an axis of length 1 does not matter; an empty tensor takes nothing", async () => {
    expect((await open(one({ shape: [1, 6], strides: [99, 1] }))).tensors.get("x")?.shape).toEqual([1, 6]);
    const file = await open(one({ shape: [0, 3], strides: [99, 99], offset: 99_999 }));
    const { shape, begin, end } = file.tensors.get("x")!;
    expect([shape, await file.source.read(begin, end)]).toEqual([[0, 3], new Uint8Array()]);
  });
});

const small = { name: "m/data.pkl", bytes: pickle(op.emptyDict) };
const torn = (bytes: Uint8Array, change: (view: DataView) => void): Uint8Array => {
  const copy = bytes.slice();
  change(new DataView(copy.buffer));
  return copy;
};

describe("the zip", () => {
  test("zip64, another folder, none", async () => {
    const x = tensorOps({ count: 2, shape: [2], strides: [1] });
    for (const folder of ["archive/", "some model/", ""]) {
      const items = [
        { name: `${folder}data.pkl`, bytes: pickle(dictOps({ x })) },
        { name: `${folder}data/0`, bytes: bytes8 },
      ];
      for (const zip64 of [false, true]) expect((await open(zip(items, { zip64 }))).tensors.get("x")?.shape).toEqual([2]);
    }
  });

  test("beyond 4 GiB, by ranges: only the pickle and the headers are read", async () => {
    const count = 1.5 * 2 ** 30; // 6 GiB of f32
    const big = Object.defineProperty(new Uint8Array(), "length", { value: 4 * count });
    const last = Uint8Array.from([0, 0, 128, 63]);
    const tensors = {
      big: tensorOps({ count, shape: [3, 2 ** 29], strides: [2 ** 29, 1] }),
      last: tensorOps({ key: "1", count: 1, shape: [1], strides: [1] }),
    };
    const items = [
      { name: "m/data.pkl", bytes: pickle(dictOps(tensors)) },
      { name: "m/data/0", bytes: big },
      { name: "m/data/1", bytes: last },
    ];
    const source = new SparseSource(zipParts(items, { zip64: true }));
    expect(source.size).toBeGreaterThan(6 * 2 ** 30);
    const file = await openTorch(source);
    const entry = file.tensors.get("big")!;
    expect([entry.end - entry.begin, entry.shape]).toEqual([4 * count, [3, 2 ** 29]]);
    expect(await readValues(file, "last")).toEqual(Float32Array.of(1));
    expect(source.bytesRead).toBeLessThan(200_000);
  });

  test.each([
    ["compressed", zip([{ ...small, method: 8 }]), "PICKLE_COMPRESSED"],
    ["encrypted", zip([{ ...small, flags: 0x809 }]), "PICKLE_FORMAT"],
    ["two entries of one name", zip([small, small]), "PICKLE_DUPLICATE"],
    ["no data.pkl", zip([{ ...small, name: "m/readme" }]), "PICKLE_FORMAT"],
    ["two data.pkl", zip([small, { ...small, name: "n/data.pkl" }]), "PICKLE_FORMAT"],
    ["TorchScript", zip([small, { name: "m/code/__torch__.py", bytes: bytes8 }]), "PICKLE_OBJECT"],
    ["big-endian", zip([small, { name: "m/byteorder", bytes: new TextEncoder().encode("big") }]), "PICKLE_FORMAT"],
    ["bytes between directory and end", join([zip([small]).slice(0, -98), bytes8, zip([small]).slice(-98)]), "PICKLE_FORMAT"],
    ["a local header that says something else", torn(zip([small]), (view) => view.setUint8(31, 0x58)), "PICKLE_FORMAT"],
    ["an entry that ends behind the directory", torn(zip([small]), (view) => view.setUint16(28, 60_000, true)), "PICKLE_FORMAT"],
  ])("%s", async (_, bytes, code) => {
    expect((await refusal(bytes)).code).toBe(code);
  });

  test("cut short anywhere", async () => {
    const whole = saved("state.zip.ckpt");
    for (const length of [64, 1000, 3000, whole.length - 1])
      expect((await refusal(whole.slice(0, length))).code).toBe("PICKLE_TRUNCATED");
  });
});

describe("the legacy form", () => {
  const x = dictOps({ x: tensorOps({ count: 2, shape: [2], strides: [1] }, true) });
  test.each([
    ["cut short in its data", torchLegacy(pickle(x), { 0: [2, bytes8] }).slice(0, -1), "PICKLE_TRUNCATED"],
    ["cut short in its pickles", torchLegacy(pickle(x), { 0: [2, bytes8] }).slice(0, 60), "PICKLE_TRUNCATED"],
    ["bytes behind the last storage", join([torchLegacy(pickle(x), { 0: [2, bytes8] }), bytes8]), "PICKLE_FORMAT"],
    ["a length beyond 2^53", torchLegacy(pickle(x), { 0: [2 ** 60, bytes8] }), "PICKLE_FORMAT"],
    ["a storage listed twice", torchLegacy(pickle(x), { 0: [2, bytes8] }, ["0", "0"]), "PICKLE_DUPLICATE"],
    ["a storage of no tensor", torchLegacy(pickle(x), { 0: [2, bytes8], 1: [2, bytes8] }), "PICKLE_FORMAT"],
    ["a tensor without its storage", torchLegacy(pickle(x), {}), "PICKLE_TENSOR"],
  ])("%s", async (_, bytes, code) => {
    expect((await refusal(bytes)).code).toBe(code);
  });
});

describe("the pickle", () => {
  const nested = Array.from({ length: 40 }, () => [...op.emptyDict, ...op.mark, ...op.text("a")]).flat();
  const doubled = Array.from({ length: 40 }, (_, i) => [...op.put(i), 0x30, ...op.get(i), ...op.get(i), 0x86]).flat();
  test.each([
    ["an unknown opcode", data([0xff]), "PICKLE_FORMAT"],
    ["protocol 0", data([0x49, 0x31, 0x0a]), "PICKLE_FORMAT"],
    ["an empty stack", data(op.reduce), "PICKLE_FORMAT"],
    ["no mark", data(op.emptyDict, op.setItems), "PICKLE_FORMAT"],
    ["a mark for a value", data(op.mark), "PICKLE_FORMAT"],
    ["a value never given", data(op.get(7)), "PICKLE_FORMAT"],
    ["a key without a value", data(op.emptyDict, op.mark, op.text("a"), op.setItems), "PICKLE_FORMAT"],
    ["items for a number", data(op.int(1), op.mark, op.int(2), op.appends), "PICKLE_FORMAT"],
    ["a length beyond the file", data([0x58, 0xff, 0xff, 0xff, 0x7f]), "PICKLE_TRUNCATED"],
    ["a length beyond 2^53", data([0x8d, 255, 255, 255, 255, 255, 255, 255, 255]), "PICKLE_FORMAT"],
    ["no end", torchZip(Uint8Array.from(op.proto)), "PICKLE_TRUNCATED"],
    ["an integer of a gigabyte", data([0x8b, 0, 0, 0, 64]), "PICKLE_TOO_LARGE"],
    [
      "two entries of one name",
      data(op.emptyDict, op.mark, op.text("a"), op.none, op.text("a"), op.none, op.setItems),
      "PICKLE_DUPLICATE",
    ],
    [
      "two tensors of one path",
      data(
        dictOps({
          "a.b": tensorOps({ count: 0, shape: [0], strides: [1] }),
          a: dictOps({ b: tensorOps({ count: 0, shape: [0], strides: [1] }) }),
        }),
      ),
      "PICKLE_DUPLICATE",
    ],
    [
      "dicts in dicts",
      data(nested, tensorOps({ count: 0, shape: [0], strides: [1] }), ...Array<number[]>(40).fill(op.setItems)),
      "PICKLE_TOO_LARGE",
    ],
    ["a list in itself", data(op.emptyList, op.put(0), op.mark, op.get(0), op.appends), "PICKLE_TOO_LARGE"],
    ["2^40 paths to one value", data(op.none, doubled), "PICKLE_TOO_LARGE"],
    [
      "a million values",
      torchZip(join([Uint8Array.from(op.proto), new Uint8Array(1_000_002).fill(0x4e), Uint8Array.from(op.stop)])),
      "PICKLE_TOO_LARGE",
    ],
    [
      "ten million opcodes",
      torchZip(
        join([
          Uint8Array.from(op.proto),
          new Uint8Array(10_000_002).fill(0x4e).map((_, i) => (i % 2 ? 0x30 : 0x4e)),
          Uint8Array.from(op.stop),
        ]),
      ),
      "PICKLE_TOO_LARGE",
    ],
  ])("%s", async (_, bytes, code) => {
    const started = performance.now();
    expect((await refusal(bytes)).code).toBe(code);
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test("control characters of names are not printed", async () => {
    const error = await refusal(data(op.global("os\u001b[31m", "system"), op.emptyTuple, op.reduce));
    expect(error.message).not.toContain("\u001b");
  });
});

test.each([
  ["web-ui.older.pt", /a textual inversion/],
  ["hypernetwork.pt", /a hypernetwork/],
  ["state.legacy.ckpt", /no model that limn knows/],
])("%s given as a model: what it is", async (name, message) => {
  const file = await openModelFile(new MemorySource(saved(name), name));
  await expect(readConfig(file)).rejects.toMatchObject({ code: "MODEL_UNSUPPORTED", message: expect.stringMatching(message) });
});

test("a pickle that torch did not write is named", async () => {
  const error = await refusal(Uint8Array.from([...pickle(op.emptyDict), ...new Uint8Array(60)]));
  expect([error.code, error.message]).toEqual(["NOT_SAFETENSORS", expect.stringContaining("pickle")]);
});

test("8,000 damaged files: a typed error or a file, and nothing else", async () => {
  const seeds = ["state.zip.ckpt", "state.legacy.ckpt", "web-ui.older.pt", "hypernetwork.old.pt"].map(saved);
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  let opened = 0;
  for (let i = 0; i < 8_000; i++) {
    const bytes = seeds[i % seeds.length]!.slice();
    const pickled = Math.min(bytes.length, 3000); // where the pickles and headers are
    for (let n = random(3) + 1; n > 0; n--) {
      const at = random(3) === 0 ? bytes.length - 1 - random(1000) : random(pickled);
      bytes[at] = random(4) === 0 ? [0x28, 0x2e, 0x52, 0x75, 0xff, 0x00, 0x71, 0x63][random(8)]! : random(256);
    }
    const source: ByteSource = new MemorySource(random(10) === 0 ? bytes.slice(0, random(bytes.length)) : bytes, "m.ckpt");
    try {
      const file = await openTensors(source);
      for (const { begin, end } of file.tensors.values()) await file.source.read(begin, end);
      opened++;
    } catch (error) {
      if (!(error instanceof ModelFileError)) throw new Error(`run ${i}: ${String(error)}`, { cause: error });
    }
  }
  expect(opened).toBeGreaterThan(100);
}, 120_000);
