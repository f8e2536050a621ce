/**
 * @file WebAssembly from TypeScript: instructions as functions that give their bytes, operands first, and the module around them. Only what
 * permute-simd.ts needs (WebAssembly Core Specification 2.0, chapter 5; every number below is from its section 5.4).
 */

export type Code = readonly number[];

/** Integers of variable length, least significant seven bits first (5.2.2). */
function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}
function signed(value: number): number[] {
  const rest = value >> 7;
  const low = value & 0x7f;
  return rest === (low & 0x40 ? -1 : 0) ? [low] : [low | 0x80, ...signed(rest)];
}

const binary =
  (...opcode: number[]) =>
  (a: Code, b: Code): Code => [...a, ...b, ...opcode];
const simd = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];
const unary =
  (opcode: number) =>
  (a: Code): Code => [...a, ...simd(opcode)];
/** Memory instructions have an alignment, here always 1, and an offset. */
const at = (offset: number): number[] => [0, ...unsigned(offset)];

export const get = (local: number): Code => [0x20, ...unsigned(local)];
export const set = (local: number, value: Code): Code => [...value, 0x21, ...unsigned(local)];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value | 0)],
  add: binary(0x6a),
  mul: binary(0x6c),
  shl: binary(0x74),
  lessThan: binary(0x48),
  load: (address: Code): Code => [...address, 0x28, ...at(0)],
  /** `a` where the condition is not 0. */
  select: (a: Code, b: Code, condition: Code): Code => [...a, ...b, ...condition, 0x1b],
};

export const v128 = {
  load: (address: Code): Code => [...address, ...simd(0), ...at(0)],
  store: (address: Code, value: Code, offset = 0): Code => [...address, ...value, ...simd(11), ...at(offset)],
  /** The same 32 bits four times. */
  splat(bits: number): Code {
    const bytes = [0, 8, 16, 24].map((shift) => (bits >>> shift) & 0xff);
    return [...simd(12), ...bytes, ...bytes, ...bytes, ...bytes];
  },
  /** Bytes of `a` (0 to 15) and `b` (16 to 31). */
  shuffle: (a: Code, b: Code, bytes: readonly number[]): Code => [...a, ...b, ...simd(13), ...bytes],
  and: binary(...simd(78)),
  or: binary(...simd(80)),
  /** Bits of `a` where `mask` has ones, else of `b`. */
  bitselect: (a: Code, b: Code, mask: Code): Code => [...a, ...b, ...mask, ...simd(82)],
  anyTrue: unary(83),
};

export const i16x8 = { equal: binary(...simd(45)) };
export const i32x4 = {
  lowHalves: unary(169), // i32x4.extend_low_i16x8_u
  highHalves: unary(170), // i32x4.extend_high_i16x8_u
  greaterThan: binary(...simd(59)),
  shl: (a: Code, bits: number): Code => [...a, ...i32.const(bits), ...simd(171)],
  add: binary(...simd(174)),
};
export const f32x4 = { mul: binary(...simd(230)), fromIntegers: unary(250) };

/** Runs `body`, and again as long as `condition` is not 0. */
export const loop = (body: Code, condition: Code): Code => [0x03, 0x40, ...body, ...condition, 0x0d, 0, 0x0b];

export interface WasmFunction {
  /** Parameters, all i32: locals 0 and up. The result is an i32 too. */
  readonly parameters: number;
  /** Locals behind them: first those of i32, then those of v128. */
  readonly i32Locals: number;
  readonly v128Locals: number;
  readonly code: Code;
}

/** A module that exports `functions`, of equal parameters, and imports its memory as `host.memory`. */
export function wasmModule(functions: Readonly<Record<string, WasmFunction>>): Uint8Array<ArrayBuffer> {
  const [i32Type, v128Type] = [0x7f, 0x7b];
  const all = Object.values(functions);
  const parameters = Array.from({ length: all[0]?.parameters ?? 0 }, () => i32Type);
  const bodies = all.map(({ i32Locals, v128Locals, code }) => {
    const body = [2, ...unsigned(i32Locals), i32Type, ...unsigned(v128Locals), v128Type, ...code, 0x0b];
    return [...unsigned(body.length), ...body];
  });
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // "\0asm", version 1
    ...section(1, [[0x60, ...unsigned(parameters.length), ...parameters, 1, i32Type]]),
    ...section(2, [[...text("host"), ...text("memory"), 2, 0, 1]]),
    ...section(
      3,
      all.map(() => [0]),
    ),
    ...section(
      7,
      Object.keys(functions).map((name, index) => [...text(name), 0, ...unsigned(index)]),
    ),
    ...section(10, bodies),
  ]);
}

function section(id: number, items: readonly Code[]): Code {
  const content = [...unsigned(items.length), ...items.flat()];
  return [id, ...unsigned(content.length), ...content];
}

function text(name: string): Code {
  const bytes = new TextEncoder().encode(name);
  return [...unsigned(bytes.length), ...bytes];
}
