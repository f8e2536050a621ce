/** @file An adapter in words. */
import { isSoftware } from "./tier.ts";

/**
 * llvmpipe says what it is in its description. A GPU's description is its driver alone (`NVIDIA: 580.65.06`), and its name is in `device`:
 * `nvidia-h100-80gb-hbm3`. Browsers may tell no more than `nvidia lovelace`.
 */
export function adapterName(info: GPUAdapterInfo): string {
  const { vendor, architecture, device, description } = info;
  const name = device || `${vendor} ${architecture}`.trim();
  if (!description) return name || "unknown adapter";
  return isSoftware(info) || !name ? description : `${name} (${description})`;
}
