/** @file The rate of subgroup matrices (tensor cores): products of matrices that stay in registers, f16 operands and f32 sums. */
import { type Device, defineKernel, matrixConfigOf } from "../engine/index.ts";
import { randomFill } from "./random-fill.ts";
import { gpuMillis } from "./timing.ts";

/** Products in flight in each subgroup: two left matrices by four right ones. */
const sums = 8;
const subgroups = 4;

const matrixRateKernel = defineKernel({
  name: "matrix-rate",
  buffers: { x: { access: "read", type: "f16" }, y: { access: "write", type: "f32" } },
  uniforms: { rounds: "u32" },
  tunables: { MATRIX_M: 8, MATRIX_N: 8, MATRIX_K: 8, LANES: 8, INVOCATIONS: 32 },
  features: ["subgroups", "chromium_experimental_subgroup_matrix"],
  wgsl: /* wgsl */ `
    alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;              // columns first
    alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
    alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

    fn right(i: u32) -> Right {
      return subgroupMatrixLoad<Right, row_major>(&x, 2u * MATRIX_M * MATRIX_K + i * MATRIX_K * MATRIX_N, MATRIX_N);
    }

    @compute @workgroup_size(INVOCATIONS)
    fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) local: u32) {
      let a = subgroupMatrixLoad<Left, row_major>(&x, 0u, MATRIX_K);
      let b = subgroupMatrixLoad<Left, row_major>(&x, MATRIX_M * MATRIX_K, MATRIX_K);
      let c = right(0u); let d = right(1u); let e = right(2u); let f = right(3u);
      var s0 = Result(); var s1 = Result(); var s2 = Result(); var s3 = Result();
      var s4 = Result(); var s5 = Result(); var s6 = Result(); var s7 = Result();
      for (var i = 0u; i < uniforms.rounds; i++) {
        s0 = subgroupMatrixMultiplyAccumulate(a, c, s0); s1 = subgroupMatrixMultiplyAccumulate(a, d, s1);
        s2 = subgroupMatrixMultiplyAccumulate(a, e, s2); s3 = subgroupMatrixMultiplyAccumulate(a, f, s3);
        s4 = subgroupMatrixMultiplyAccumulate(b, c, s4); s5 = subgroupMatrixMultiplyAccumulate(b, d, s5);
        s6 = subgroupMatrixMultiplyAccumulate(b, e, s6); s7 = subgroupMatrixMultiplyAccumulate(b, f, s7);
      }
      let size = MATRIX_M * MATRIX_N;
      let at = (group.x * (INVOCATIONS / LANES) + local / LANES) * 8u * size;
      subgroupMatrixStore<row_major>(&y, at, s0, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + size, s1, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 2u * size, s2, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 3u * size, s3, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 4u * size, s4, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 5u * size, s5, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 6u * size, s6, MATRIX_N);
      subgroupMatrixStore<row_major>(&y, at + 7u * size, s7, MATRIX_N);
    }`,
});

/** GFLOP/s, or undefined where the device has no such matrices. Throws if a sum is wrong. */
export async function measureMatrixRate(device: Device): Promise<number | undefined> {
  const config = matrixConfigOf(device.info, device.subgroupSize);
  if (!config || !device.features.has("chromium-experimental-subgroup-matrix")) return undefined;
  const { M, N, K, lanes } = config;
  const [workgroups, rounds] = device.isSoftware ? [16, 64] : [4096, 512];
  const x = device.empty([2 * M * K + 4 * K * N], "f16");
  const y = device.empty([workgroups * subgroups * sums * M * N], "f32");
  randomFill(x, 0.5, 1);
  const tunables = { MATRIX_M: M, MATRIX_N: N, MATRIX_K: K, LANES: lanes, INVOCATIONS: lanes * subgroups };
  const run = (): void => matrixRateKernel.launch({ x, y }, { rounds }, [workgroups], { tunables });
  try {
    const { p10 } = await gpuMillis(device, run);
    const [operands, results] = [await x.read(), await y.read()];
    let expected = 0;
    for (let k = 0; k < K; k++) expected += rounds * operands[k]! * operands[2 * M * K + k * N]!;
    if (!(Math.abs(results[0]! - expected) <= 1e-2 * Math.max(1, Math.abs(expected))))
      throw new Error(`matrix rate: a sum is ${results[0]}, expected ${expected}`);
    return (2 * M * N * K * sums * subgroups * workgroups * rounds) / p10 / 1e6;
  } finally {
    x.free();
    y.free();
  }
}
