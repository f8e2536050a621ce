/** @file `limn doctor`: what was found on this machine, and the proof that it computes: one matrix product, checked on the CPU. */
import { readFileSync } from "node:fs";
import { type Device, DeviceError, matrixFeature } from "../../engine/index.ts";
import { matmul } from "../../kernels/index.ts";
import { openDevice } from "../device.ts";
import { type ListedAdapter, listAdapters, thisSystem } from "../node-gpu.ts";
import type { DoctorOptions } from "../options.ts";
import { writeStdout } from "../stdout.ts";

const shownLimits = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupStorageSize",
  "maxStorageBuffersPerShaderStage",
] as const;

/** @throws AdapterError those of `openDevice`; DeviceError GPU_WRONG */
export async function run(options: DoctorOptions): Promise<void> {
  const say = (text: string) => (options.json ? Promise.resolve() : writeStdout(text));
  const machine = { system: thisSystem().name, arch: process.arch, node: process.version, dawn: packageVersion("webgpu") };
  await say(`system     ${machine.system}, ${machine.arch}\nnode       ${machine.node}\nwebgpu     ${machine.dawn} (Dawn)\n`);
  const adapters = await listAdapters();
  await say(adapters.map(describeListed).join(""));
  const { device, adapter, software, close } = await openDevice(options);
  try {
    const found = reportDevice(device, adapter, software);
    await say(describeDevice(found));
    const proof = await prove(device);
    await say(
      `proof      a ${proof.size}x${proof.size} matrix product in ${proof.millis.toFixed(1)} ms, largest error ${proof.error.toExponential(1)}: right\n`,
    );
    if (options.json) await writeStdout(`${JSON.stringify({ ...machine, adapters, device: found, proof })}\n`);
  } finally {
    close();
  }
}

type Found = ReturnType<typeof reportDevice>;

function reportDevice(device: Device, adapter: string, software: boolean) {
  return {
    adapter,
    software,
    vendor: device.info.vendor,
    architecture: device.info.architecture,
    tier: device.tier,
    storage: device.storage,
    f16: device.features.has("shader-f16"),
    subgroups: device.features.has("subgroups"),
    subgroupSize: device.subgroupSize,
    subgroupMatrices: device.features.has(matrixFeature),
    features: [...device.features],
    limits: Object.fromEntries(shownLimits.map((name) => [name, device.limits[name]])),
  };
}

function describeListed({ index, name, backend, reachable }: ListedAdapter): string {
  return `adapter ${index}  ${name} (${backend})${reachable ? "" : ", hidden by an earlier one of the same name"}\n`;
}

function describeDevice(found: Found): string {
  const subgroups = found.subgroupSize > 0 ? `of ${found.subgroupSize}` : found.subgroups ? "of varying size" : "no";
  return [
    `chosen     ${found.adapter}${found.software ? " (computes on the CPU)" : ""}`,
    `tier       ${found.tier}, stores ${found.storage}`,
    `features   f16 ${found.f16 ? "yes" : "no"}, subgroups ${subgroups}, subgroup matrices ${found.subgroupMatrices ? "yes" : "no"}`,
    ...Object.entries(found.limits).map(
      ([name, value], index) => `${`${index === 0 ? "limits" : ""}`.padEnd(11)}${name} ${value}`,
    ),
    "",
  ].join("\n");
}

/** a b for matrices whose entries a CPU can check exactly: small integers, products and sums below 2^11, which f16 holds. */
async function prove(device: Device) {
  const size = 64;
  const a = Float32Array.from({ length: size * size }, (_, index) => ((index * 7) % 5) - 2);
  const b = Float32Array.from({ length: size * size }, (_, index) => ((index * 11) % 7) - 3);
  const start = performance.now();
  const [left, right] = [device.upload(a, [size, size], device.storage), device.upload(b, [size, size], device.storage)];
  const product = matmul(left, right); // [64, 64]
  const found = await product.read();
  const millis = performance.now() - start;
  for (const tensor of [left, right, product]) tensor.free();
  let error = 0;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let expected = 0;
      for (let inner = 0; inner < size; inner++) expected += a[row * size + inner]! * b[inner * size + column]!;
      const difference = Math.abs(found[row * size + column]! - expected);
      // NaN compares false with everything, so the test is for what is right.
      error = difference <= error ? error : Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    }
  }
  if (error > 0) {
    throw new DeviceError("GPU_WRONG", `a ${size}x${size} matrix product on the GPU is wrong by up to ${error}`, {
      hint: "update the graphics driver, try --tier f32 or another --adapter",
      context: { error, adapter: device.info.description },
    });
  }
  return { size, millis, error };
}

function packageVersion(name: string): string {
  try {
    const manifest: unknown = JSON.parse(readFileSync(new URL(import.meta.resolve(`${name}/package.json`)), "utf8"));
    return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
  } catch {
    return "not found";
  }
}
