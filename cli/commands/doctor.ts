/** @file `limn doctor`: what was found on this machine, and the proof that it computes. */
import { readFileSync } from "node:fs";
import { type Device, matrixFeature, type Tier } from "../../engine/index.ts";
import { openDevice } from "../gpu/device.ts";
import { type ListedAdapter, listAdapters, thisSystem } from "../gpu/node-gpu.ts";
import { type Proved, prove } from "../gpu/proof.ts";
import type { DoctorOptions } from "../syntax/options.ts";
import { writeStdout } from "../terminal/stdout.ts";

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
  const { device, adapter, software, tiers, close } = await openDevice(options);
  try {
    const found = { ...reportDevice(device, adapter, software), tiers };
    await say(describeDevice(found));
    const kernels = await prove(device);
    const proof = { error: Math.max(...kernels.map(({ error }) => error)), kernels };
    await say(kernels.map(describeProof).join(""));
    if (options.json) await writeStdout(`${JSON.stringify({ ...machine, adapters, device: found, proof })}\n`);
  } finally {
    close();
  }
}

type Found = ReturnType<typeof reportDevice> & { readonly tiers: readonly Tier[] };

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

function describeProof({ name, error, millis }: Proved, index: number): string {
  return `${(index === 0 ? "proof" : "").padEnd(11)}${name} in ${millis.toFixed(1)} ms, largest error ${error.toExponential(1)}: right\n`;
}

function describeListed({ index, name, backend, reachable }: ListedAdapter): string {
  return `adapter ${index}  ${name} (${backend})${reachable ? "" : ", hidden by an earlier one of the same name"}\n`;
}

function describeDevice(found: Found): string {
  const subgroups = found.subgroupSize > 0 ? `of ${found.subgroupSize}` : found.subgroups ? "of varying size" : "no";
  return [
    `chosen     ${found.adapter}${found.software ? " (computes on the CPU)" : ""}`,
    `tier       ${found.tier}, stores ${found.storage}; --tier can be ${found.tiers.join(", ")}`,
    `features   f16 ${found.f16 ? "yes" : "no"}, subgroups ${subgroups}, subgroup matrices ${found.subgroupMatrices ? "yes" : "no"}`,
    ...Object.entries(found.limits).map(
      ([name, value], index) => `${`${index === 0 ? "limits" : ""}`.padEnd(11)}${name} ${value}`,
    ),
    "",
  ].join("\n");
}

function packageVersion(name: string): string {
  try {
    const manifest: unknown = JSON.parse(readFileSync(new URL(import.meta.resolve(`${name}/package.json`)), "utf8"));
    return typeof manifest === "object" && manifest !== null && "version" in manifest ? String(manifest.version) : "unknown";
  } catch {
    return "not found";
  }
}
