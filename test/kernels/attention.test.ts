import { describe, expect, test } from "vitest";
import { ShapeError } from "../../engine/index.ts";
import {
  attention,
  attentionRungs,
  attentionSoftware,
  attentionSoftwareNarrow,
  attentionTiled,
} from "../../kernels/attention/index.ts";
import { type AttentionOptions, attentionProblem } from "../../kernels/attention/problem.ts";
import { tiled } from "../../kernels/attention/tiled.ts";
import { type AttentionCase, attentionOracle } from "../oracle/attention.ts";
import { closeTo, createNullDevice, limited, needs, useDevice, withBindingsOf } from "./harness.ts";

// f32: sums of at most 300 numbers of size 1, exponents to 1e-6. f16: the result's rounding (2^-11).
const tolerance = { f32: 5e-6, f16: 1e-3 };
// Scores of size 100 are known to 100 x 2^-24 x a few, and so are the weights, their exponentials.
const looser = 6;

interface Case extends AttentionCase {
  /** One tensor of rows q | k | v instead of three. */
  readonly fused?: boolean;
  /** Deviation of q and k: 4 makes scores of 80 and more. */
  readonly std?: number;
  /** Extra columns before the operands' first and after their last. */
  readonly margin?: number;
}

const cases: readonly Case[] = [
  { batch: 1, queries: 1, keys: 1, heads: 1, headDim: 4 },
  { batch: 2, queries: 7, keys: 1, heads: 3, headDim: 4 },
  { batch: 1, queries: 1, keys: 7, heads: 3, headDim: 8 },
  { batch: 2, queries: 17, keys: 65, heads: 3, headDim: 8, std: 4 },
  { batch: 1, queries: 65, keys: 77, heads: 2, headDim: 40 },
  { batch: 1, queries: 63, keys: 63, heads: 1, headDim: 64, std: 4 },
  { batch: 1, queries: 33, keys: 63, heads: 2, headDim: 80, scale: 0.3 },
  { batch: 1, queries: 7, keys: 129, heads: 2, headDim: 160 },
  { batch: 1, queries: 9, keys: 65, heads: 1, headDim: 512 },
  { batch: 2, queries: 77, keys: 77, heads: 4, headDim: 16, causal: true, fused: true },
  { batch: 1, queries: 7, keys: 7, heads: 8, headDim: 12, causal: true },
  { batch: 1, queries: 130, keys: 130, heads: 1, headDim: 8, causal: true, std: 4 },
  { batch: 2, queries: 65, keys: 65, heads: 3, headDim: 20, fused: true },
  { batch: 2, queries: 16, keys: 77, heads: 2, headDim: 8, margin: 4 },
  { batch: 1, queries: 1, keys: 300, heads: 1, headDim: 128 },
];

/** For rungs that take any width. */
const oddCases: readonly Case[] = [
  { batch: 1, queries: 5, keys: 7, heads: 3, headDim: 5 },
  { batch: 2, queries: 9, keys: 9, heads: 1, headDim: 13, causal: true, fused: true },
  { batch: 1, queries: 3, keys: 65, heads: 2, headDim: 9, margin: 3 },
];

const label = ({ batch, queries, keys, heads, headDim, causal, fused, std, margin }: Case) =>
  `${batch} x ${queries} queries, ${keys} keys, ${heads} heads of ${headDim}` +
  `${causal ? ", causal" : ""}${fused ? ", fused" : ""}${std ? ", large scores" : ""}${margin ? ", margins" : ""}`;

type TestGPU = ReturnType<typeof useDevice>;

/** Random operands of a case, the options that fit them, and the oracle's answer. */
function setUp(gpu: TestGPU, c: Case, dtype: "f32" | "f16") {
  const width = c.heads * c.headDim;
  const margin = c.margin ?? 0;
  const std = c.std ?? 1;
  const options = { heads: c.heads, headDim: c.headDim, causal: c.causal ?? false, ...(c.scale ? { scale: c.scale } : {}) };
  if (c.fused) {
    const x = gpu.random([c.batch, c.queries, 3 * width], dtype, { std });
    const at = (column: number) => ({ values: x.values, width: 3 * width, column });
    const columns = { q: 0, k: width, v: 2 * width };
    const expected = attentionOracle(at(columns.q), at(columns.k), at(columns.v), c);
    const upload = () => {
      const tensor = x.upload();
      return [tensor, tensor, tensor] as const;
    };
    return { upload, options: { ...options, columns }, expected };
  }
  const operand = (rows: number, deviation: number, before: number) =>
    gpu.random([c.batch, rows, before + width + margin], dtype, { std: deviation });
  const [q, k, v] = [operand(c.queries, std, margin), operand(c.keys, std, 2 * margin), operand(c.keys, 1, 0)];
  const columns = { q: margin, k: 2 * margin, v: 0 };
  const expected = attentionOracle(
    { values: q.values, width: width + 2 * margin, column: margin },
    { values: k.values, width: width + 3 * margin, column: 2 * margin },
    { values: v.values, width: width + margin, column: 0 },
    c,
  );
  return { upload: () => [q.upload(), k.upload(), v.upload()] as const, options: { ...options, columns }, expected };
}

/**
 * Which cases a rung runs. A software driver takes seconds to compile one variant of the tiled rung, and it has one for each number
 * of columns a lane: f32 meets all of them, f16 and the lesser device the narrowest.
 */
const ladder = [
  { rung: "naive", device: "this adapter", options: {}, f32: [...cases, ...oddCases], f16: [...cases, ...oddCases] },
  { rung: "software", device: "this adapter", options: {}, f32: cases, f16: cases },
  { rung: "tiled", device: "this adapter", options: {}, f32: cases, f16: cases.filter((c) => c.headDim <= 64) },
  { rung: "tiled", device: "16 KiB, no subgroups", options: limited, f32: cases.filter((c) => c.headDim <= 64) },
] as const;

for (const { rung, device, options: deviceOptions, ...byDType } of ladder) {
  describe(`${rung} on ${device}`, () => {
    const gpu = useDevice(deviceOptions);
    for (const [dtype, own] of Object.entries(byDType) as ["f32" | "f16", readonly Case[]][]) {
      for (const c of own) {
        test(`${dtype} ${label(c)}`, async ({ skip }) => {
          if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
          if (rung === "software" && ![4, 8].includes(gpu.device.subgroupSize))
            skip(`subgroups of 4 or 8 lanes are needed, this adapter's have ${gpu.device.subgroupSize || "no fixed number"}`);
          const { upload, options, expected } = setUp(gpu, c, dtype);
          const actual = await gpu.evaluate(() => {
            const problem = attentionProblem(...upload(), options);
            expect(attentionRungs[rung].fits(problem)).toBe(true);
            return attentionRungs[rung].run(problem);
          });
          closeTo(actual, expected, tolerance[dtype] * (c.std && dtype === "f32" ? looser : 1));
        });
      }
    }
  });
}

describe("scores of -1e32", () => {
  const gpu = useDevice();
  for (const rung of ["naive", "software", "tiled"] as const) {
    test.for([8, 16])(`${rung}: keys that aren't there count less, heads of %i`, async (headDim, { skip }) => {
      if (rung === "software" && ![4, 8].includes(gpu.device.subgroupSize))
        skip("this adapter's subgroups have not 4 or 8 lanes");
      const c = { batch: 1, queries: 3, keys: 13, heads: 1, headDim };
      const flat = (rows: number, value: number) => gpu.input([1, rows, headDim], new Float32Array(rows * headDim).fill(value));
      const [q, k, v] = [flat(3, 1e16), flat(13, -1e16), gpu.random([1, 13, headDim])];
      const at = ({ values }: { values: Float32Array }) => ({ values, width: headDim, column: 0 });
      const options = { heads: 1, headDim };
      const actual = await gpu.evaluate(() =>
        attentionRungs[rung].run(attentionProblem(q.upload(), k.upload(), v.upload(), options)),
      );
      closeTo(actual, attentionOracle(at(q), at(k), at(v), c), tolerance.f32);
    });
  }
});

describe("tiled, 64 queries a workgroup", () => {
  const gpu = useDevice();
  for (const c of cases.filter(({ headDim, queries }) => headDim <= 64 && queries > 60)) {
    test(label(c), async ({ skip }) => {
      const memory = gpu.device.limits.maxComputeWorkgroupStorageSize;
      if (memory < 24576) skip(`24,576 bytes of workgroup memory are needed, this adapter has ${memory}`);
      const { upload, options, expected } = setUp(gpu, c, "f32");
      const actual = await gpu.evaluate(() => tiled(attentionProblem(...upload(), options), { QUERIES: 64, COLUMNS: 1 }));
      closeTo(actual, expected, tolerance.f32 * (c.std ? looser : 1));
    });
  }
});

for (const tier of ["software", "f32"] as const) {
  describe(`attention() on tier ${tier}`, () => {
    const gpu = useDevice({ tier });
    for (const c of [cases[9]!, ...oddCases]) {
      test(label(c), async () => {
        const { upload, options, expected } = setUp(gpu, c, "f32");
        closeTo(await gpu.evaluate(() => attention(...upload(), options)), expected, tolerance.f32);
      });
    }
  });
}

describe("tensors larger than a binding", () => {
  const split: readonly (readonly [what: string, limit: number, c: Case])[] = [
    ["images", 130 * 3 * 40 * 4, { batch: 3, queries: 130, keys: 130, heads: 2, headDim: 20, fused: true }],
    ["heads, then queries", 2 * 130 * 16 * 4, { batch: 1, queries: 130, keys: 130, heads: 3, headDim: 16, fused: true }],
    ["queries of one wide head", 65 * 64 * 4, { batch: 1, queries: 65, keys: 65, heads: 1, headDim: 64, fused: true }],
    ["rows that begin anywhere", 4700, { batch: 2, queries: 77, keys: 33, heads: 2, headDim: 12, margin: 4 }],
    ["images, causal", 77 * 32 * 4, { batch: 2, queries: 77, keys: 77, heads: 2, headDim: 16, causal: true }],
  ];

  for (const tier of ["software", "f32"] as const) {
    describe(`tier ${tier}`, () => {
      const gpu = useDevice({ tier });
      for (const dtype of ["f32", "f16"] as const) {
        test.for(split)(`${dtype} %s: the same numbers in parts`, async ([, limit, c], { skip }) => {
          if (dtype === "f16") needs(gpu.device, "shader-f16", skip);
          const { upload, options, expected } = setUp(gpu, c, dtype);
          const attend = async () => {
            const before = gpu.device.counters.dispatches;
            const y = await gpu.evaluate(() => attention(...upload(), options));
            return { y, dispatches: gpu.device.counters.dispatches - before };
          };
          const whole = await attend();
          // Sums may be f32 beside f16 operands, and causal queries stay together.
          const bytes = dtype === "f16" && !c.causal ? limit / 2 : limit;
          const parts = await withBindingsOf(gpu.device, bytes, attend);
          expect(parts.dispatches).toBeGreaterThan(whole.dispatches);
          expect(parts.y).toEqual(whole.y);
          closeTo(parts.y, expected, tolerance[dtype]);
        });
      }
    });
  }

  describe("too large for any part", () => {
    const gpu = useDevice();
    test("the keys of one head, and one query, are named with both sizes", async () => {
      const of = (shape: readonly number[], heads: number) => () =>
        gpu.device.scope(() => {
          const qkv = gpu.device.empty(shape, "f32");
          attention(qkv, qkv, qkv, { heads, headDim: shape[2]! / heads });
        });
      await withBindingsOf(gpu.device, 4096, async () => {
        expect(of([1, 130, 16], 2)).toThrow(/keys of one head take 4160 bytes, a binding may have 4096/);
        expect(of([1, 1, 4096], 8)).toThrow(/1 rows of 16384 bytes are more than a binding may have \(4096\)/);
      });
    });
  });
});

test("the compiler accepts the variants that this adapter may not have", async () => {
  const device = await createNullDevice();
  for (const Element of ["f32", "f16"] as const) {
    const types = { Element };
    for (const LANES of [4, 8]) {
      await device.pipelines.compile(attentionSoftware, { types, tunables: { LANES, KEY_BLOCKS: 16 / LANES } });
      await device.pipelines.compile(attentionSoftwareNarrow, { types, tunables: { LANES, COLUMNS: 2 } });
    }
    // The null device has 16 KiB of workgroup memory: 64 queries need 24.
    for (const COLUMNS of [1, 2, 3, 8]) {
      await device.pipelines.compile(attentionTiled, { types, tunables: { COLUMNS, QUERIES: 32, WORKGROUP_SIZE: 128 } });
    }
  }
  device.close();
});

describe("what doesn't fit together", () => {
  const gpu = useDevice();
  const run = (shapes: readonly (readonly number[])[], options: AttentionOptions) =>
    gpu.device.scope(() => {
      const [q, k, v] = shapes.map((shape) => gpu.device.empty(shape, "f32"));
      attention(q!, k!, v!, options);
    });
  const square = [
    [1, 5, 32],
    [1, 5, 32],
    [1, 5, 32],
  ];

  test.each([
    ["heads end behind the row", square, { heads: 3, headDim: 16 }, /3 heads of 16 from column 0 end at 48, rows of q have 32/],
    [
      "columns end behind the row",
      square,
      { heads: 2, headDim: 16, columns: { k: 4 } },
      /from column 4 end at 36, rows of k have 32/,
    ],
    ["no heads", square, { heads: 0, headDim: 16 }, /0 heads of width 16/],
    ["half a head", square, { heads: 2, headDim: 1.5 }, /width 1\.5/],
    ["batches differ", [[2, 5, 32], square[1]!, square[2]!], { heads: 2, headDim: 16 }, /batch of .* is 1, expected 2/],
    ["keys and values differ", [square[0]!, [1, 6, 32], square[2]!], { heads: 2, headDim: 16 }, /keys of .* is 5, expected 6/],
    [
      "causal with other keys",
      [square[0]!, [1, 6, 32], [1, 6, 32]],
      { heads: 2, headDim: 16, causal: true },
      /5 queries and 6 keys/,
    ],
  ])("%s", (_, shapes, options, message) => {
    expect(() => run(shapes, options)).toThrow(ShapeError);
    expect(() => run(shapes, options)).toThrow(message);
  });
});
