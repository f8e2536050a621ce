import { describe, expect, test } from "vitest";
import { toF16Bits } from "../../engine/dtype.ts";
import { ModelFileError } from "../../engine/errors.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { Checkpoint, type CheckpointOptions } from "../../model/checkpoint/checkpoint.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import type { Weights } from "../../model/checkpoint/weights.ts";
import { useDevice } from "../kernels/harness.ts";
import { encode, open, safetensors, type TestTensor } from "./build-file.ts";

const gpu = useDevice();

/** A tensor whose values are small integers and halves, exact in all three dtypes, all different from their neighbours. */
function tensor(
  name: string,
  shape: readonly number[],
  dtype: "F32" | "F16" | "BF16" = "F16",
): TestTensor & { values: Float32Array } {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) => ((i * 37 + name.length) % 251) / 2 - 60);
  return { name, dtype, shape, values, bytes: encode(values, dtype, toF16Bits) };
}

/** Builds with `make` on a file of `tensors`, reads what `use` needs, and frees everything. */
async function withCheckpoint<T>(
  tensors: readonly TestTensor[],
  use: (checkpoint: Checkpoint) => Promise<T>,
  options: CheckpointOptions = {},
  pad = 0,
): Promise<T> {
  const checkpoint = new Checkpoint(await open(safetensors(tensors, {}, pad)), gpu.device, options);
  try {
    return await use(checkpoint);
  } finally {
    checkpoint.free();
  }
}

async function refusal(promise: Promise<unknown>): Promise<ModelFileError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof ModelFileError)) throw new Error(`expected a ModelFileError, got ${String(error)}`);
  expect(error.hint).toBeTruthy();
  return error;
}

const up4 = (count: number): number => Math.ceil(count / 4) * 4;

/** File [O, I, taps] -> [taps, I padded, O padded], one element at a time. */
function permuted(values: Float32Array, outputs: number, inputs: number, taps: number, deviceInputs: number): Float32Array {
  const result = new Float32Array(taps * deviceInputs * up4(outputs));
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let tap = 0; tap < taps; tap++)
        result[(tap * deviceInputs + i) * up4(outputs) + o] = values[(o * inputs + i) * taps + tap]!;
  return result;
}

const dtypes = ["F32", "F16", "BF16"] as const;
const stored = ["f32", "f16"] as const;

describe.each(dtypes)("from %s", (dtype) => {
  describe.each(stored)("to %s", (weightDType) => {
    test.each([
      [1, 1],
      [3, 5],
      [8, 64],
      [63, 65],
      [130, 33],
    ])("linear [%i, %i]", async (outputs, inputs) => {
      const weight = tensor("layer.weight", [outputs, inputs], dtype);
      // An odd byte before it and an odd header: nothing is aligned.
      const odd: TestTensor = { name: "odd", dtype: "U8", shape: [1], bytes: Uint8Array.of(1) };
      await withCheckpoint(
        [odd, weight],
        async (checkpoint) => {
          const device = await checkpoint.build((weights) => weights.at("layer").linear());
          expect([device.shape, device.dtype]).toEqual([[inputs, up4(outputs)], weightDType]);
          expect(await device.read()).toEqual(permuted(weight.values, outputs, inputs, 1, inputs));
        },
        { weightDType },
        1,
      );
    });
    test.each([
      [1, 1, 1, 1],
      [3, 9, 3, 3],
      [33, 4, 3, 3],
      [8, 70, 3, 1],
      [65, 63, 1, 1],
    ])("conv [%i, %i, %i, %i]", async (outputs, inputs, height, width) => {
      const weight = tensor("weight", [outputs, inputs, height, width], dtype);
      await withCheckpoint(
        [weight],
        async (checkpoint) => {
          const device = await checkpoint.build((weights) => weights.conv());
          expect(device.shape).toEqual([height, width, up4(inputs), up4(outputs)]);
          expect(await device.read()).toEqual(permuted(weight.values, outputs, inputs, height * width, up4(inputs)));
        },
        { weightDType },
      );
    });
  });
  test.each([1, 3, 4, 320])("vector of %i, always f32", async (count) => {
    const bias = tensor("bias", [count], dtype);
    await withCheckpoint(
      [bias],
      async (checkpoint) => {
        const device = await checkpoint.build((weights) => weights.vector("bias"));
        expect([device.shape, device.dtype]).toEqual([[up4(count)], "f32"]);
        expect([...(await device.read())]).toEqual([...bias.values, ...Array(up4(count) - count).fill(0)]);
      },
      { weightDType: "f16" },
    );
  });
});

test("F16 that is kept stays f16 beside f32; what is fused with another type does not; widened it is f32", async () => {
  const half = tensor("half.weight", [8, 16], "F16");
  const [query, key] = [tensor("query.weight", [8, 16], "F16"), tensor("key.weight", [8, 16], "F32")];
  await withCheckpoint(
    [half, query, key],
    async (checkpoint) => {
      const make = (weights: Weights) =>
        [weights.at("half").linear(), weights.concatLinear(["query.weight", "key.weight"])] as const;
      const [kept, fused] = await checkpoint.build(make);
      expect([kept.dtype, fused.dtype]).toEqual(["f16", "f32"]);
      const values = await kept.read();
      expect(values).toEqual(permuted(half.values, 8, 16, 1, 16));

      const widened = checkpoint.widen(checkpoint.targets);
      expect([widened.size, checkpoint.replaced]).toEqual([1, 1]);
      await checkpoint.stream([...widened.values()]);
      const [again] = make(checkpoint.weights);
      expect(again.dtype).toBe("f32");
      expect(await again.read()).toEqual(values);
      expect(checkpoint.widen(checkpoint.targets).size).toBe(0);
    },
    { weightDType: "f32", keepHalves: true },
  );
});

test("padInput, pad, matrix, 1x1 convolution as linear", async () => {
  const conv = tensor("conv", [5, 3, 3, 3]);
  const bias = tensor("bias", [3]);
  const projection = tensor("projection", [6, 10]);
  const pointwise = tensor("pointwise", [7, 6, 1, 1]);
  await withCheckpoint([conv, bias, projection, pointwise], async (checkpoint) => {
    const made = await checkpoint.build((weights) => ({
      conv: weights.conv("conv", { padInput: 12 }),
      bias: weights.vector("bias", { pad: 10 }),
      projection: weights.matrix("projection"),
      pointwise: weights.linear("pointwise"),
    }));
    expect(made.conv.shape).toEqual([3, 3, 12, 8]);
    expect(await made.conv.read()).toEqual(permuted(conv.values, 5, 3, 9, 12));
    expect([...(await made.bias.read())]).toEqual([...bias.values, ...Array(9).fill(0)]);
    expect(made.projection.shape).toEqual([6, 10]);
    expect(await made.projection.read()).toEqual(projection.values);
    expect(await made.pointwise.read()).toEqual(permuted(pointwise.values, 7, 6, 1, 6));
    expect(checkpoint.bytes).toBe(Object.values(made).reduce((sum, { bytes }) => sum + bytes, 0));
  });
});

test("concatLinear and concatVector: side by side, in the order asked, whatever the order in the file", async () => {
  const [k, q, v] = [tensor("k.weight", [3, 6]), tensor("q.weight", [5, 6]), tensor("v.weight", [8, 6])];
  const [kb, qb] = [tensor("k.bias", [3]), tensor("q.bias", [5])];
  await withCheckpoint([k, kb, tensor("between", [4]), q, qb, v], async (checkpoint) => {
    const made = await checkpoint.build((weights) => ({
      qkv: weights.concatLinear(["q.weight", "k.weight", "v.weight"]),
      bias: weights.concatVector(["q.bias", "k.bias"]),
    }));
    const joined = Float32Array.from([...q.values, ...k.values, ...v.values]);
    expect(await made.qkv.read()).toEqual(permuted(joined, 16, 6, 1, 6));
    expect([...(await made.bias.read())]).toEqual([...qb.values, ...kb.values]);
    expect(checkpoint.unused).toEqual(["between"]);
  });
});

test("a tensor larger than one read comes in pieces", async () => {
  const weight = tensor("weight", [2100, 4100], "F32"); // 34 MB
  let calls = 0;
  await withCheckpoint(
    [tensor("small", [8]), weight],
    async (checkpoint) => {
      const progress: number[] = [];
      const device = await checkpoint.build(
        (weights) => {
          weights.vector("small");
          return weights.linear();
        },
        {
          onProgress: ({ bytes, totalBytes }) => {
            calls++;
            progress.push(bytes / totalBytes);
          },
        },
      );
      expect(calls).toBeGreaterThan(2);
      expect(progress).toEqual([...progress].sort((a, b) => a - b));
      expect(progress.at(-1)).toBe(1);
      const values = await device.read();
      for (const [o, i] of [
        [0, 0],
        [2099, 4099],
        [1023, 17],
        [1024, 4000],
      ] as const)
        expect(values[i * 2100 + o]).toBe(weight.values[o * 4100 + i]);
      expect(values.reduce((sum, value) => sum + value, 0)).toBeCloseTo(
        weight.values.reduce((sum, value) => sum + value, 0),
        3,
      );
    },
    { weightDType: "f32" },
  );
});

test("the same tensor asked for twice is one tensor, and free gives everything back", async () => {
  const before = gpu.device.memory.liveBytes;
  await withCheckpoint([tensor("a.weight", [4, 4])], async (checkpoint) => {
    const [x, y] = await checkpoint.build((weights) => [weights.linear("a.weight"), weights.at("a").linear()]);
    expect(x).toBe(y);
    expect(gpu.device.memory.liveBytes).toBeGreaterThan(before);
  });
  expect(gpu.device.memory.liveBytes).toBe(before);
});

test("rows are read one by one", async () => {
  const table = tensor("tokens", [100, 6]);
  let reads = 0;
  const source = new MemorySource(safetensors([table]));
  const read = (begin: number, end: number) => {
    reads++;
    return source.read(begin, end);
  };
  const counting = { name: "m", size: source.size, read };
  const checkpoint = new Checkpoint(await openSafetensors(counting), gpu.device);
  const rows = checkpoint.weights.rows("tokens");
  reads = 0;
  const values = await rows.read([99, 0, 99, 99]);
  expect([rows.count, rows.width, reads]).toEqual([100, 6, 2]);
  for (const [place, id] of [99, 0, 99, 99].entries())
    expect([...values.subarray(place * 6, place * 6 + 6)]).toEqual([...table.values.subarray(id * 6, id * 6 + 6)]);
  await expect(rows.read([100])).rejects.toThrow(RangeError);
  await expect(rows.read([-1])).rejects.toThrow(RangeError);
  await expect(rows.read([0.5])).rejects.toThrow(RangeError);
});

describe("row 14: dtypes", () => {
  const f8: TestTensor = { name: "model.weight", dtype: "F8_E8M0", shape: [4, 4], bytes: new Uint8Array(16) };
  test("of a weight: named with the supported list", async () => {
    const error = await refusal(
      withCheckpoint([f8], (checkpoint) => checkpoint.build((weights) => weights.at("model").linear())),
    );
    expect(error.code).toBe("CHECKPOINT_DTYPE");
    expect(error.message).toMatch(/"model\.weight" is F8_E8M0/);
    expect(error.hint).toContain("F32, F16, BF16, F8_E4M3, F8_E5M2");
  });
  test("of a tensor that nothing uses: no matter", async () => {
    await withCheckpoint([f8, tensor("b", [4])], (checkpoint) => checkpoint.build((weights) => weights.vector("b")));
  });
});

test.each([
  ["linear of a vector", [4], (w) => w.linear("t")],
  ["linear of a 3x3 convolution", [4, 4, 3, 3], (w) => w.linear("t")],
  ["conv of a matrix", [4, 4], (w) => w.conv("t")],
  ["vector of a matrix", [4, 4], (w) => w.vector("t")],
  ["table of a vector", [4], (w) => w.rows("t")],
  ["an empty axis", [0, 4], (w) => w.linear("t")],
  ["nine axes", Array(9).fill(1), (w) => w.conv("t")],
  ["fused matrices of two inputs", [4, 5], (w) => w.concatLinear(["other", "t"])],
] as [string, number[], (weights: Checkpoint["weights"]) => unknown][])(
  "rows 15, 19: wrong shape: %s",
  async (_, shape, make) => {
    const error = await refusal(
      withCheckpoint([tensor("t", shape), tensor("other", [4, 4])], (checkpoint) => checkpoint.build(make)),
    );
    expect(error.code).toBe("CHECKPOINT_SHAPE");
    expect(error.message).toContain(`is [${shape}], expected`);
  },
);

test("row 17: missing tensors are listed together", async () => {
  const make = (weights: Checkpoint["weights"]) => {
    for (let i = 0; i < 12; i++) weights.at(`block.${i}`).linear();
    weights.rows("table");
    if (weights.linear("block.0.weight").shape[0] === 4) throw new Error("what follows from a missing tensor");
  };
  const error = await refusal(withCheckpoint([], (checkpoint) => checkpoint.build(make), { family: "sd1" }));
  expect(error.code).toBe("CHECKPOINT_MISSING");
  expect(error.message).toMatch(/13 tensors are missing.*sd1: block\.0\.weight, .*block\.9\.weight and 3 more$/);
});

describe("row 18: extra tensors", () => {
  const extras = [
    "model_ema.decay",
    "model_ema.x",
    "betas",
    "a.position_ids",
    "b.logit_scale",
    "unknown.weight",
    "encoder.x",
  ].map((name) => tensor(name, [4]));
  const make = (weights: Checkpoint["weights"]) => {
    weights.at("encoder").leave();
    return weights.vector("bias");
  };
  test("sorted into ignored by rule, left and unused", async () => {
    await withCheckpoint([...extras, tensor("bias", [4])], async (checkpoint) => {
      await checkpoint.build(make);
      expect(checkpoint.unused).toEqual(["unknown.weight"]);
      expect(checkpoint.ignored.map(({ count }) => count)).toEqual([2, 1, 1, 1]);
    });
  });
  test("strict", async () => {
    const error = await refusal(
      withCheckpoint([...extras, tensor("bias", [4])], (checkpoint) => checkpoint.build(make), { strict: true }),
    );
    expect([error.code, error.message]).toEqual([
      "CHECKPOINT_UNUSED",
      expect.stringContaining("1 tensor is not used: unknown.weight"),
    ]);
  });
});

describe.each(dtypes)("row 20: NaN and infinity in %s", (dtype) => {
  const broken = (value: number): TestTensor => {
    const good = tensor("w", [3, 5], dtype);
    const values = good.values.slice();
    values[7] = value;
    return { ...good, bytes: encode(values, dtype, toF16Bits) };
  };
  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])("%d", async (value) => {
    const error = await refusal(
      withCheckpoint([broken(value)], (checkpoint) => checkpoint.build((weights) => weights.linear("w"))),
    );
    expect(error.code).toBe("CHECKPOINT_NONFINITE");
    expect(error.message).toContain(`"w": element 7 is ${Number.isNaN(value) ? "NaN" : "infinite"}`);
    await withCheckpoint(
      [broken(value)],
      async (checkpoint) => {
        const device = await checkpoint.build((weights) => weights.linear("w"));
        expect(device.dtype).toBe("f16");
        expect((await device.read())[2 * 4 + 1]).toBe(value);
      },
      { allowNonfinite: true, weightDType: "f16" },
    );
  });
  test("in a table, whichever rows are read", async () => {
    const read = (checkpoint: Checkpoint) => checkpoint.weights.rows("w").read([0, 1]);
    const load = (checkpoint: Checkpoint) => checkpoint.build((weights) => weights.rows("w"));
    for (const use of [read, load]) {
      const error = await refusal(withCheckpoint<unknown>([broken(Number.NaN)], use));
      expect([error.code, error.message]).toEqual(["CHECKPOINT_NONFINITE", expect.stringContaining('"w": row 1 is not finite')]);
      await withCheckpoint<unknown>([broken(Number.NaN)], use, { allowNonfinite: true });
    }
  });
  test("in a table of several reads, at an odd offset", async () => {
    const good = tensor("w", [5000, 501], dtype);
    const values = good.values.slice();
    const load = (checkpoint: Checkpoint) => checkpoint.build((weights) => weights.rows("w"));
    await withCheckpoint([good], load, {}, 1);
    for (const row of [0, 2500, 4999]) {
      values[row * 501 + 500] = Number.NEGATIVE_INFINITY;
      const bad = { ...good, bytes: encode(values, dtype, toF16Bits) };
      values[row * 501 + 500] = 0;
      const error = await refusal(withCheckpoint<unknown>([bad], load, {}, 1));
      expect(error.message).toContain(`"w": row ${row} is not finite`);
    }
  });
});

test.each(["F32", "BF16"] as const)("row 21: a value above 65504 keeps its %s tensor in f32, with a warning", async (dtype) => {
  const big = tensor("big", [4, 4], dtype);
  big.values[5] = -131072;
  const wide = { ...big, bytes: encode(big.values, dtype, toF16Bits) };
  await withCheckpoint(
    [wide, tensor("small", [4, 4], dtype)],
    async (checkpoint) => {
      const made = await checkpoint.build((weights) => ({ big: weights.linear("big"), small: weights.linear("small") }));
      expect([made.big.dtype, made.small.dtype]).toEqual(["f32", "f16"]);
      expect(await made.big.read()).toEqual(permuted(big.values, 4, 4, 1, 4));
      expect(checkpoint.warnings).toEqual([expect.stringContaining("big: values above 65504")]);
    },
    { weightDType: "f16" },
  );
});

test("row 22: an all-zero weight gives one warning, an all-zero bias none", async () => {
  const zero = (name: string, shape: number[]): TestTensor => ({
    ...tensor(name, shape),
    bytes: new Uint8Array(shape.reduce((a, b) => a * b, 2)),
  });
  await withCheckpoint([zero("w", [4, 4]), zero("v", [4, 4]), zero("b", [4])], async (checkpoint) => {
    await checkpoint.build((weights) => [weights.linear("w"), weights.linear("v"), weights.vector("b")]);
    expect(checkpoint.warnings).toEqual(["w, v: all zero"]);
  });
});

test("row 23: a file that changed while it was read", async () => {
  const source = new MemorySource(safetensors([tensor("b", [4])]));
  const changing = { name: "m", size: source.size, read: source.read.bind(source), unchanged: async () => false };
  const checkpoint = new Checkpoint(await openSafetensors(changing), gpu.device);
  const error = await refusal(checkpoint.build((weights) => weights.vector("b")));
  checkpoint.free();
  expect(error.code).toBe("CHECKPOINT_CHANGED");
});

test("a read that fails is reported once, and an abort ends the load", async () => {
  const source = new MemorySource(safetensors([tensor("b", [4])]));
  const file = await openSafetensors(source);
  const failing = { ...file, source: { name: "m", size: source.size, read: () => Promise.reject(new Error("disk")) } };
  const checkpoint = new Checkpoint(failing, gpu.device);
  await expect(checkpoint.build((weights) => weights.vector("b"))).rejects.toThrow("disk");
  await expect(checkpoint.load({ signal: AbortSignal.abort(new Error("stop")) })).rejects.toThrow("stop");
  checkpoint.free();
});
