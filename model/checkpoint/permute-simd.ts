/**
 * @file The commonest weight, F16 in even rows, permuted eight by eight in the processor's vectors: WebAssembly reaches them, JavaScript does not,
 * and takes two to four times as long. The check for NaN and infinity rides along.
 */
import type { Layout } from "./permute.ts";
import { type Code, f32x4, get, i16x8, i32, i32x4, loop, set, v128, type WasmFunction, wasmModule } from "./wasm-module.ts";

/** Inner indices at a time: their device rows stay in the nearer caches while outputs go by in eights. */
const block = 256;
const eight = [0, 1, 2, 3, 4, 5, 6, 7] as const;

// Parameters: addresses, and in `begins` the device element of each inner index's first output.
const [source, target, begins, inner, outputs] = [0, 1, 2, 3, 4];
const [j0, j1, j, o, at, to, rowBytes] = [5, 6, 7, 8, 9, 10, 11];
const [rows, columns, any, nonfinite, half] = [12, 20, 28, 29, 30];

/** Bytes of an interleaving of the halves in the lower (0) or upper (1) halves of two vectors. */
const interleaved = (upper: 0 | 1): number[] =>
  [0, 1, 2, 3].flatMap((lane) => [0, 16].flatMap((vector) => [0, 1].map((byte) => vector + 8 * upper + 2 * lane + byte)));

/** Eight vectors interleaved with those four behind them; three times over, rows have become columns. */
const interleave = (from: number, into: number): Code =>
  [0, 1, 2, 3].flatMap((i) =>
    ([0, 1] as const).flatMap((upper) =>
      set(into + 2 * i + upper, v128.shuffle(get(from + i), get(from + i + 4), interleaved(upper))),
    ),
  );

const exponent = v128.splat(0x7c007c00);
const loadRow = (i: number): Code => [
  ...set(rows + i, v128.load(get(at))),
  ...set(any, v128.or(get(any), get(rows + i))),
  ...set(nonfinite, v128.or(get(nonfinite), i16x8.equal(v128.and(get(rows + i), exponent), exponent))),
  ...set(at, i32.add(get(at), get(rowBytes))),
];

/** F32 of the four F16 in the lanes of `half`: exponents are moved, subnormals (below 0x400) converted as integers. */
function singles(): Code {
  const magnitude = v128.and(get(half), v128.splat(0x7fff));
  const normal = i32x4.add(i32x4.shl(magnitude, 13), v128.splat(0x38000000));
  const subnormal = f32x4.mul(f32x4.fromIntegers(magnitude), v128.splat(0x33800000)); // 2^-24
  const sign = i32x4.shl(v128.and(get(half), v128.splat(0x8000)), 16);
  return v128.or(sign, v128.bitselect(normal, subnormal, i32x4.greaterThan(magnitude, v128.splat(0x3ff))));
}

const storeColumn = (k: number, wide: boolean): Code => {
  const begin = i32.load(i32.add(get(begins), i32.shl(i32.add(get(j), i32.const(k)), i32.const(2))));
  const address = set(to, i32.add(get(target), i32.shl(i32.add(begin, get(o)), i32.const(wide ? 2 : 1))));
  if (!wide) return [...address, ...v128.store(get(to), get(columns + k))];
  const four = (lanes: Code, offset: number): Code => [...set(half, lanes), ...v128.store(get(to), singles(), offset)];
  return [...address, ...four(i32x4.lowHalves(get(columns + k)), 0), ...four(i32x4.highHalves(get(columns + k)), 16)];
};

/** From F16 to f16, or `wide` to f32. */
function permuteFunction(wide: boolean): WasmFunction {
  const tile = [
    ...eight.flatMap(loadRow),
    ...interleave(rows, columns),
    ...interleave(columns, rows),
    ...interleave(rows, columns),
    ...eight.flatMap((k) => storeColumn(k, wide)),
  ];
  const address = (output: Code, index: Code): Code =>
    i32.add(get(source), i32.add(i32.mul(output, get(rowBytes)), i32.shl(index, i32.const(1))));
  const next = (local: number, end: Code): Code => i32.lessThan(get(local), end);
  const alongInner = loop(
    [...set(at, address(get(o), get(j))), ...tile, ...set(j, i32.add(get(j), i32.const(8)))],
    next(j, get(j1)),
  );
  const alongOutputs = loop([...set(j, get(j0)), ...alongInner, ...set(o, i32.add(get(o), i32.const(8)))], next(o, get(outputs)));
  const end = i32.add(get(j0), i32.const(block));
  const code = [
    ...set(rowBytes, i32.shl(get(inner), i32.const(1))),
    ...loop(
      [
        ...set(j1, i32.select(end, get(inner), i32.lessThan(end, get(inner)))),
        ...set(o, i32.const(0)),
        ...alongOutputs,
        ...set(j0, get(j1)),
      ],
      next(j0, get(inner)),
    ),
    ...i32.select(i32.const(0x7f800000), v128.anyTrue(v128.and(get(any), v128.splat(0x7fff7fff))), v128.anyTrue(get(nonfinite))),
  ];
  return { parameters: 5, i32Locals: 7, v128Locals: 19, code };
}

type Permute = (source: number, target: number, begins: number, inner: number, outputs: number) => number;

let compiled: WebAssembly.Module | undefined | false;

/** Compiled on first use; undefined where there is no WebAssembly with vectors, or a page may not use it. */
function compile(): WebAssembly.Module | undefined {
  try {
    compiled ??= new WebAssembly.Module(wasmModule({ halves: permuteFunction(false), singles: permuteFunction(true) }));
  } catch {
    compiled = false;
  }
  return compiled || undefined;
}

/** The vectors' own memory: sources and targets lie in it. */
export class SimdPermuter {
  readonly memory: ArrayBuffer;
  readonly #begins: Int32Array;
  readonly #halves: Permute;
  readonly #singles: Permute;

  private constructor(module: WebAssembly.Module, memory: WebAssembly.Memory, maxInner: number, free: number) {
    const { exports } = new WebAssembly.Instance(module, { host: { memory } });
    this.memory = memory.buffer;
    this.#begins = new Int32Array(this.memory, free, maxInner);
    this.#halves = exports["halves"] as Permute;
    this.#singles = exports["singles"] as Permute;
  }

  /** With `bytes` of memory for whoever uses it, from address 0. Undefined where it can't be had. */
  static create(bytes: number, maxInner: number): SimdPermuter | undefined {
    const module = compile();
    if (!module) return undefined;
    const free = Math.ceil(bytes / 16) * 16;
    try {
      const memory = new WebAssembly.Memory({ initial: Math.ceil((free + 4 * maxInner) / 65_536) });
      return new SimdPermuter(module, memory, maxInner, free);
    } catch {
      return undefined;
    }
  }

  /** True where a source of this many bytes of F16 can be permuted: it lies in the memory, in whole eights. */
  suits(source: Uint8Array, { inner }: Layout): boolean {
    return source.buffer === this.memory && inner > 1 && inner % 8 === 0 && source.byteLength % (16 * inner) === 0;
  }

  /**
   * As `scatter`, for F16 into f16 or f32. Infinities and NaN are only right in f16.
   * @returns 0x7f800000 where there is a NaN or infinity, 0 where all is zero, else 1
   */
  scatter(source: Uint8Array, target: Uint16Array | Uint32Array, { inner, rows, width }: Layout, first: number): number {
    for (let index = 0; index < inner; index++) this.#begins[index] = rows[index]! * width + first;
    const permute = target instanceof Uint16Array ? this.#halves : this.#singles;
    return permute(source.byteOffset, target.byteOffset, this.#begins.byteOffset, inner, source.byteLength / (2 * inner));
  }
}
