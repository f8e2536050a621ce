/** @file Random upscalers: tensors under BasicSR's names, as files in every layout. */
import { encode, open, safetensors } from "../checkpoint/build-file.ts";
import { normals } from "../kernels/harness.ts";

export interface TestTensor {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}
export type Network = ReadonlyMap<string, TestTensor>;

export interface RrdbCase {
  readonly features: number;
  readonly growth: number;
  readonly blocks: number;
  readonly doublings: number;
  readonly unshuffle: number;
  /** ESRGAN+: a shortcut of 1x1 in each dense block. */
  readonly plus?: boolean;
}

function layer(name: string, inputs: number, outputs: number, gain = 1, bias = 0): [string, TestTensor][] {
  const shape = [outputs, inputs, 3, 3];
  return [
    [`${name}.weight`, { shape, values: normals(9 * inputs * outputs, { std: gain / Math.sqrt(9 * inputs) }) }],
    [`${name}.bias`, { shape: [outputs], values: normals(outputs, { mean: bias, std: 0.1 }) }],
  ];
}

export function rrdbNetwork({ features, growth, blocks, doublings, unshuffle, plus = false }: RrdbCase): Network {
  const tensors = layer("conv_first", 3 * unshuffle ** 2, features);
  for (let n = 0; n < blocks; n++) {
    for (const i of [1, 2, 3]) {
      const path = `body.${n}.rdb${i}`;
      for (const j of [1, 2, 3, 4, 5])
        tensors.push(...layer(`${path}.conv${j}`, features + (j - 1) * growth, j === 5 ? features : growth, 1.5));
      if (plus) {
        const values = normals(growth * features, { std: 1 / Math.sqrt(features) });
        tensors.push([`${path}.conv1x1.weight`, { shape: [growth, features, 1, 1], values }]);
      }
    }
  }
  const ups = Array.from({ length: doublings }, (_, i) => `conv_up${i + 1}`);
  for (const name of ["conv_body", ...ups, "conv_hr"]) tensors.push(...layer(name, features, features, 1.4));
  tensors.push(...layer("conv_last", features, 3, 0.1, 0.5)); // most of the picture within 0..1
  return new Map(tensors);
}

export function srvggNetwork({
  features,
  convolutions,
  scale,
}: {
  features: number;
  convolutions: number;
  scale: number;
}): Network {
  const tensors: [string, TestTensor][] = [];
  for (let i = 0; i < convolutions; i++) {
    const last = i === convolutions - 1;
    tensors.push(...layer(`body.${2 * i}`, i === 0 ? 3 : features, last ? 3 * scale ** 2 : features, last ? 0.1 : 1));
    if (!last)
      tensors.push([`body.${2 * i + 1}.weight`, { shape: [features], values: normals(features, { mean: 0.2, std: 0.2 }) }]);
  }
  return new Map(tensors);
}

export const layouts = ["basicsr", "params_ema", "cleaned", "first"] as const;
export type Layout = (typeof layouts)[number];

/** A file with a network's tensors, named as one of its trainers does. */
export function fileOf(network: Network, layout: Layout = "basicsr") {
  const blocks = [...network.keys()].filter((name) => /^body\.\d+\.rdb1\.conv1\.weight$/.test(name)).length;
  const doublings = [...network.keys()].filter((name) => /^conv_up\d\.weight$/.test(name)).length;
  const rename: Record<Layout, (name: string) => string> = {
    basicsr: (name) => name,
    params_ema: (name) => `params_ema.${name}`,
    cleaned: (name) =>
      `module.${name}`
        .replace(/body\.(\d+)\.rdb(\d)/, "RRDB_trunk.$1.RDB$2")
        .replace("conv_body", "trunk_conv")
        .replace("conv_up", "upconv")
        .replace("conv_hr", "HRconv"),
    first: (name) =>
      name
        .replace(/^body\.(\d+)\.rdb(\d)\.conv(\d)\./, "model.1.sub.$1.RDB$2.conv$3.0.")
        .replace(/^body\.(\d+)\.rdb(\d)\.conv1x1/, "model.1.sub.$1.RDB$2.conv1x1")
        .replace("conv_body", `model.1.sub.${blocks}`)
        .replace("conv_first", "model.0")
        .replace(/^conv_up(\d)/, (_, i) => `model.${3 * Number(i)}`)
        .replace("conv_hr", `model.${3 * doublings + 2}`)
        .replace("conv_last", `model.${3 * doublings + 4}`),
  };
  const tensors = [...network].map(([name, { shape, values }]) => {
    return { name: rename[layout](name), dtype: "F32" as const, shape, bytes: encode(values, "F32", Number) };
  });
  const extra =
    layout === "params_ema"
      ? [{ name: "params.conv_first.weight", dtype: "F32" as const, shape: [1], bytes: new Uint8Array(4) }]
      : [];
  return open(safetensors([...tensors, ...extra]), "upscaler.safetensors");
}
