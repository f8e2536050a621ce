/** @file What this adapter can do at all, measured before anything is compared with it: FMA rate and copy bandwidth. */
import { type Device, defineKernel, perElement } from "../engine/index.ts";
import { measureMatrixRate } from "./matrix-rate.ts";
import { gpuMillis } from "./timing.ts";

/** Sixteen independent chains of FMAs an invocation, on vectors of four: enough to hide any latency. */
const fmaKernel = defineKernel({
  name: "fma-rate",
  buffers: { y: "write" },
  uniforms: { rounds: "u32", factor: "f32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let m = Element4(Element(uniforms.factor));
      let seed = Element4(Element(id.x % 16u)) * Element(0.01);
      var a = seed; var b = seed + m; var c = seed + m * Element(2.0); var d = seed + m * Element(3.0);
      var e = a + b; var f = b + c; var g = c + d; var h = d + a;
      for (var i = 0u; i < uniforms.rounds; i++) {
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed); d = fma(d, m, seed);
        e = fma(e, m, seed); f = fma(f, m, seed); g = fma(g, m, seed); h = fma(h, m, seed);
      }
      let sum = a + b + c + d + e + f + g + h;
      y[id.x] = sum.x + sum.y + sum.z + sum.w;
    }`,
});

/**
 * For drivers that compute on the CPU: twelve chains (a vec4 is four there) fit its registers, and eight steps a round make up for
 * what a loop costs. 96 operations a round.
 */
const softwareFmaKernel = defineKernel({
  name: "fma-rate",
  rung: "software",
  buffers: { y: "write" },
  uniforms: { rounds: "u32", factor: "f32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let m = Element4(Element(uniforms.factor));
      let seed = Element4(Element(id.x % 16u)) * Element(0.01);
      var a = seed; var b = seed + m; var c = seed + m * Element(2.0);
      for (var i = 0u; i < uniforms.rounds; i++) {
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
        a = fma(a, m, seed); b = fma(b, m, seed); c = fma(c, m, seed);
      }
      let sum = a + b + c;
      y[id.x] = sum.x + sum.y + sum.z + sum.w;
    }`,
});

const copyKernel = defineKernel({
  name: "copy-rate",
  buffers: { x: { access: "read", vec: 4 }, y: { access: "write", vec: 4 } },
  uniforms: { count: "u32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
      let i = id.x + id.y * grid.x * WORKGROUP_SIZE;
      if (i < uniforms.count) { y[i] = x[i]; }
    }`,
});

export interface Ceiling {
  /** GFLOP/s of fused multiply-adds, two operations each. */
  readonly f32: number;
  readonly f16: number | undefined;
  /** The same of subgroup matrices, f16 with f32 sums. */
  readonly matrix?: number | undefined;
  /** GB/s read plus written. */
  readonly copy: number;
}

export async function measureCeiling(device: Device): Promise<Ceiling> {
  return {
    f32: await fmaRate(device, "f32"),
    f16: device.features.has("shader-f16") ? await fmaRate(device, "f16") : undefined,
    matrix: await measureMatrixRate(device),
    copy: await copyRate(device),
  };
}

/** What products of matrices can reach on this device, as it stores numbers, GFLOP/s. */
export function arithmeticPeak({ tier, storage }: Pick<Device, "tier" | "storage">, { f32, f16, matrix }: Ceiling): number {
  if (tier === "matrix" && matrix !== undefined) return matrix;
  return storage === "f16" ? (f16 ?? f32) : f32;
}

async function fmaRate(device: Device, dtype: "f32" | "f16"): Promise<number> {
  const software = device.isSoftware;
  const invocations = software ? 2048 : 1 << 20;
  const rounds = software ? 10_000 : 512;
  const [kernel, operations] = software ? [softwareFmaKernel, 96] : [fmaKernel, 32];
  const y = device.empty([invocations], dtype);
  // The quickest tenth: on a busy machine the others say what was left of it.
  const { p10 } = await gpuMillis(device, () => kernel.launch({ y }, { rounds, factor: 0.5 }, perElement(invocations)));
  y.free();
  return (invocations * rounds * operations * 2) / p10 / 1e6;
}

async function copyRate(device: Device): Promise<number> {
  const count = device.isSoftware ? 1 << 22 : 1 << 25;
  const [x, y] = [device.empty([count], "f32"), device.empty([count], "f32")];
  const { p10 } = await gpuMillis(device, () => copyKernel.launch({ x, y }, { count: count / 4 }, perElement(count / 4)));
  x.free();
  y.free();
  return (2 * 4 * count) / p10 / 1e6;
}
