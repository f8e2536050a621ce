/** @file Tiers: what an adapter can do decides which rung of a kernel's ladder runs on it. */
import { AdapterError } from "./errors.ts";

/**
 * matrix: subgroup matrices (tensor cores). f16: 16-bit arithmetic and storage. f32: everything else that is a GPU.
 * software: a driver that runs shaders on the CPU (lavapipe, SwiftShader, WARP), where shared memory and barriers are slow.
 */
export type Tier = "matrix" | "f16" | "f32" | "software";

export const tiers: readonly Tier[] = ["matrix", "f16", "f32", "software"];

export type Precision = "auto" | "f32" | "f16";

export const matrixFeature = "chromium-experimental-subgroup-matrix";

/** Whether a driver runs shaders on the CPU, whatever tier is forced on it. */
export function isSoftware({ isFallbackAdapter, device, description }: GPUAdapterInfo): boolean {
  return isFallbackAdapter || /llvmpipe|swiftshader|basic render|warp/i.test(`${device} ${description}`);
}

/** The best tier that this adapter can run. */
export function detectTier(adapter: { readonly features: { has(name: string): boolean }; readonly info: GPUAdapterInfo }): Tier {
  if (isSoftware(adapter.info)) return "software";
  if (adapter.features.has(matrixFeature) && adapter.features.has("shader-f16")) return "matrix";
  return adapter.features.has("shader-f16") ? "f16" : "f32";
}

/** Features of an adapter. */
const needs: Readonly<Record<Tier, readonly string[]>> = {
  matrix: [matrixFeature, "shader-f16", "subgroups"],
  f16: ["shader-f16"],
  f32: [],
  software: [],
};

/** The tiers that an adapter with these features can be made to run. */
export function tiersWith(features: { has(name: string): boolean }): readonly Tier[] {
  return tiers.filter((tier) => needs[tier].every((feature) => features.has(feature)));
}

/** Fails when the adapter lacks what a forced tier needs. @throws AdapterError TIER_UNSUPPORTED */
export function expectTier(tier: Tier, features: { has(name: string): boolean }): void {
  const missing = needs[tier].filter((feature) => !features.has(feature));
  if (missing.length > 0) {
    throw new AdapterError("TIER_UNSUPPORTED", `tier ${tier} needs ${missing.join(" and ")}, which this adapter does not offer`, {
      hint: "leave --tier out, or choose one that `limn doctor` lists",
      context: { tier, missing },
    });
  }
}

/**
 * Storage of activations and weights. Software adapters gain nothing from f16, so on their tier `auto` means f32, as on the tier f32.
 * @throws AdapterError F16_UNSUPPORTED
 */
export function storageFor(precision: Precision, tier: Tier, hasF16: boolean): "f32" | "f16" {
  if (precision === "f16" && !hasF16) {
    throw new AdapterError("F16_UNSUPPORTED", "--precision f16 needs the feature shader-f16, which this adapter does not offer", {
      hint: "use --precision f32",
    });
  }
  if (precision !== "auto") return precision;
  return hasF16 && tier !== "software" && tier !== "f32" ? "f16" : "f32";
}

/** Sizes of the matrices that a subgroup multiplies: M x K by K x N, f16 with f32 sums. `lanes`: of a subgroup. */
export interface MatrixConfig {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly lanes: number;
}

/** What Dawn adds to GPUAdapterInfo with `matrixFeature`. */
interface MatrixInfo {
  readonly subgroupMatrixConfigs?: Iterable<{
    readonly componentType: string;
    readonly resultComponentType: string;
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }>;
}

/**
 * The adapter's largest configuration of f16 operands with f32 results; undefined without one, or where subgroups have no fixed
 * size. f16 results are not for us: a sum of thousands of products keeps two digits in f16.
 */
export function matrixConfigOf(info: GPUAdapterInfo, lanes: number): MatrixConfig | undefined {
  const offered = [...((info as MatrixInfo).subgroupMatrixConfigs ?? [])].filter(
    ({ componentType, resultComponentType }) => componentType === "f16" && resultComponentType === "f32",
  );
  const best = offered.sort((a, b) => b.M * b.N * b.K - a.M * a.N * a.K)[0];
  return best && lanes > 0 ? { M: best.M, N: best.N, K: best.K, lanes } : undefined;
}
