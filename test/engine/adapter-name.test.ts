import { expect, it } from "vitest";
import { adapterName } from "../../engine/adapter-name.ts";

/** As Dawn fills it in where nothing is known. */
const unknown = { vendor: "", architecture: "", device: "", description: "", isFallbackAdapter: false };
const mesa = "llvmpipe: Mesa 25.0.7-2~bpo12+1 (LLVM 15.0.6) 0.0.1";

it.each([
  [
    { vendor: "nvidia", architecture: "hopper", device: "nvidia-h200", description: "NVIDIA: 580.65.06" },
    "nvidia-h200 (NVIDIA: 580.65.06)",
  ],
  [
    {
      vendor: "mesa",
      architecture: "software",
      device: "llvmpipe-llvm-15-0-6-256-bits-",
      description: mesa,
      isFallbackAdapter: true,
    },
    mesa,
  ],
  [{ vendor: "apple", architecture: "metal-3", description: "Metal driver" }, "apple metal-3 (Metal driver)"],
  [{ vendor: "nvidia", architecture: "lovelace" }, "nvidia lovelace"],
  [{ description: "radv" }, "radv"],
  [{}, "unknown adapter"],
])("%j is %s", (known, name) => {
  expect(adapterName({ ...unknown, ...known } as GPUAdapterInfo)).toBe(name);
});
