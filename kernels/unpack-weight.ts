/** @file A weight's way from the file's bytes to the device's layout: converted and transposed where it will stay. */
import { defineKernel, defineSnippet, Tensor } from "../engine/index.ts";

/** Number formats of weights in files, as `unpackWeight` numbers them. */
export const weightFormats = { F32: 0, F16: 1, BF16: 2, F8_E4M3: 3, F8_E5M2: 4 } as const;
export type WeightFormat = keyof typeof weightFormats;

/** Bits all the way: no step flushes a subnormal or loses a NaN, and rounding is to nearest, ties to even, on every adapter. */
const weightBits = defineSnippet({
  name: "weight_bits",
  wgsl: /* wgsl */ `
    /// F32 bits of an F16.
    fn single_of_half(half: u32) -> u32 {
      let sign = (half & 0x8000u) << 16u;
      let magnitude = half & 0x7fffu;
      if (magnitude >= 0x7c00u) { return sign | 0x7f800000u | (magnitude << 13u); }
      if (magnitude >= 0x0400u) { return sign | ((magnitude << 13u) + 0x38000000u); }
      return sign | bitcast<u32>(f32(magnitude) * 0x1p-24);
    }

    /// F32 bits of element i of the source.
    fn single_of(i: u32) -> u32 {
      if (FORMAT == 0u) { return source[i]; }
      if (FORMAT == 1u) { return single_of_half((source[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu); }
      if (FORMAT == 2u) { return ((source[i >> 1u] >> ((i & 1u) * 16u)) & 0xffffu) << 16u; }
      let byte = (source[i >> 2u] >> ((i & 3u) * 8u)) & 0xffu;
      if (FORMAT == 4u) { return single_of_half(byte << 8u); }
      let sign = (byte & 0x80u) << 24u;
      let magnitude = byte & 0x7fu;
      if (magnitude == 0x7fu) { return sign | 0x7fc00000u; }
      if (magnitude >= 8u) { return sign | ((magnitude << 20u) + 0x3c000000u); }
      return sign | bitcast<u32>(f32(magnitude) * 0x1p-9);
    }

    /// F16 bits of F32 bits.
    fn half_of_single(bits: u32) -> u32 {
      let sign = (bits >> 16u) & 0x8000u;
      let magnitude = bits & 0x7fffffffu;
      if (magnitude >= 0x47800000u) { return sign | select(0x7c00u, 0x7e00u, magnitude > 0x7f800000u); }
      if (magnitude >= 0x38800000u) { return sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13u) & 1u)) >> 13u); }
      if (magnitude < 0x33000000u) { return sign; }
      let shift = 126u - (magnitude >> 23u);
      let fraction = (magnitude & 0x7fffffu) | 0x800000u;
      return sign | ((fraction + (1u << (shift - 1u)) - 1u + ((fraction >> shift) & 1u)) >> shift);
    }`,
});

/**
 * An invocation takes four outputs and BLOCK inner indices: it reads along the file's rows, a cache line of each, and writes
 * four outputs that lie side by side. Elements are written as whole words, two halves in one (HALVES).
 */
export const unpackWeightKernel = defineKernel({
  name: "unpack-weight",
  buffers: {
    source: { access: "read", type: "u32" },
    weight: { access: "write", type: "u32" },
    largest: { access: "read_write", type: "atomic<u32>" },
  },
  uniforms: {
    first: "u32",
    outputs: "u32",
    inner: "u32",
    taps: "u32",
    inputs: "u32",
    width: "u32",
    column: "u32",
    slot: "u32",
    scale: "f32",
  },
  flags: { HALVES: false, SCALED: false },
  tunables: { FORMAT: 0, BLOCK: 32 },
  snippets: [weightBits],
  wgsl: /* wgsl */ `
    var<private> most: u32;

    fn element(output: u32, j: u32) -> u32 {
      if (output >= uniforms.outputs) { return 0u; }
      var bits = single_of(uniforms.first + output * uniforms.inner + j);
      if (SCALED && (bits & 0x7fffffffu) < 0x7f800000u) { bits = bitcast<u32>(bitcast<f32>(bits) * uniforms.scale); }
      most = max(most, bits & 0x7fffffffu);
      if (HALVES) { return half_of_single(bits); }
      return bits;
    }

    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let output = id.x * 4u;
      if (output >= uniforms.outputs) { return; }
      let end = min((id.y + 1u) * BLOCK, uniforms.inner);
      for (var j = id.y * BLOCK; j < end; j++) {
        let row = (j % uniforms.taps) * uniforms.inputs + j / uniforms.taps;
        let at = row * uniforms.width + uniforms.column + output;
        let a = element(output, j);
        let b = element(output + 1u, j);
        let c = element(output + 2u, j);
        let d = element(output + 3u, j);
        if (HALVES) {
          weight[at >> 1u] = a | (b << 16u);
          weight[(at >> 1u) + 1u] = c | (d << 16u);
        } else {
          weight[at] = a;
          weight[at + 1u] = b;
          weight[at + 2u] = c;
          weight[at + 3u] = d;
        }
      }
      if (most > atomicLoad(&largest[uniforms.slot])) { atomicMax(&largest[uniforms.slot], most); }
    }`,
});

export interface UnpackOptions {
  readonly format: WeightFormat;
  /** First element in the source, in elements. */
  readonly first: number;
  /** Outputs in the source, each of `inner` elements. */
  readonly outputs: number;
  readonly inner: number;
  /** KH * KW; inner index j is input j / taps, tap j % taps. */
  readonly taps: number;
  /** Inputs and outputs of a row of the target, padding of outputs included. */
  readonly inputs: number;
  readonly width: number;
  /** Where the outputs go in a row; a multiple of 4. */
  readonly column: number;
  /** Element of `largest` that gets the F32 bits of the largest magnitude; from 0x7f800000 on, NaN or infinity. */
  readonly slot: number;
  readonly scale?: number | undefined;
}

/**
 * source (u32 words of a file, [outputs, inputs, KH, KW]) -> target [KH, KW, inputs, width] f32 or f16. Padding up to the next
 * multiple of four outputs becomes zero.
 */
export function unpackWeight(source: Tensor, target: Tensor, largest: Tensor, options: UnpackOptions): void {
  const { format, first, outputs, inner, taps, inputs, width, column, slot, scale } = options;
  const words = new Tensor(target.device, target.allocation, [target.bytes / 4], "u32", target.offset);
  unpackWeightKernel.launch(
    { source, weight: words, largest },
    { first, outputs, inner, taps, inputs, width, column, slot, scale: scale ?? 1 },
    [Math.ceil(outputs / 256), Math.ceil(inner / 32)],
    { flags: { HALVES: target.dtype === "f16", SCALED: scale !== undefined }, tunables: { FORMAT: weightFormats[format] } },
  );
}
