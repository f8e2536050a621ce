/** @file Hypernetworks on a tiny attention, against plain loops in f64; and files that are none. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { type HypernetworkFile, Hypernetworks, loadHypernetwork, openHypernetwork } from "../../model/addons/hypernetwork.ts";
import { MemorySource } from "../../model/checkpoint/byte-source.ts";
import { Checkpoint } from "../../model/checkpoint/checkpoint.ts";
import type { UNetConfig } from "../../model/checkpoint/config.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { CrossAttention, SelfAttention } from "../../model/unet/attention.ts";
import { encode, open, safetensors, type TestTensor } from "../checkpoint/build-file.ts";
import { dictOps, op, pickle, tensorOps, torchZip } from "../checkpoint/torch-writer.ts";
import { closeTo, normals, useDevice } from "../kernels/harness.ts";
import { attentionOracle } from "../oracle/attention.ts";
import { matmul } from "../oracle/matmul.ts";
import { layerNorm } from "../oracle/norms.ts";
import { torchActivations } from "../oracle/torch-activation.ts";

const saved = (name: string) =>
  openHypernetwork(new MemorySource(new Uint8Array(readFileSync(new URL(`../fixtures/pickle/${name}`, import.meta.url))), name));
/** Attention 8 wide, 2 heads, context 4. */
const unet = { contextDim: 4, modelChannels: 8, channelMult: [1], depth: [1] } as unknown as UNetConfig;
const [width, heads, contextDim, pixels, tokens] = [8, 2, 4, 6, 5];

/** c + strength net(c), the net's layers in the order of their names. `c` [rows, width] */
async function changed(
  opened: HypernetworkFile,
  path: string,
  c: Float64Array,
  size: number,
  strength: number,
  activation: string | undefined,
): Promise<Float64Array> {
  const names = [...opened.file.tensors.keys()].filter((name) => name.startsWith(`${path}.`) && name.endsWith(".weight"));
  const rows = c.length / size;
  let h = c;
  for (const name of names) {
    const weight = await readValues(opened.file, name);
    const bias = await readValues(opened.file, name.replace(/weight$/, "bias"));
    const { shape } = opened.file.tensors.get(name)!;
    if (shape.length === 1) {
      h = layerNorm(Float32Array.from(h), weight, bias, 1e-5);
      continue;
    }
    h = matmul(h, weight, { rows, inner: shape[1]!, columns: shape[0]!, transposed: true, bias });
    if (activation) h = h.map(torchActivations[activation]!);
  }
  return c.map((value, i) => value + strength * h[i]!);
}

describe("in attention", () => {
  const gpu = useDevice();
  const matrix = (name: string, out: number, inner: number): TestTensor & { values: Float32Array } => {
    const values = normals(out * inner, { std: 0.4 });
    return { name, dtype: "F32", shape: [out, inner], bytes: encode(values, "F32", Number), values };
  };
  const projected = (x: ArrayLike<number>, weight: Float32Array, inner: number) =>
    matmul(x, weight, { rows: x.length / inner, inner, columns: weight.length / inner, transposed: true });
  const operand = (values: ArrayLike<number>) => ({ values, width, column: 0 });

  test.each([
    ["hypernetwork.pt", "leakyrelu", [0.7]],
    ["hypernetwork.pt", "leakyrelu", [0.7, -0.4]],
    ["hypernetwork.old.pt", undefined, [1]],
  ] as const)("%s, activation %s, strengths %j", async (name, activation, strengths) => {
    const opened = await saved(name);
    expect([opened.name, opened.activation]).toEqual([name === "hypernetwork.pt" ? "hyper" : "old", activation]);
    const isOld = activation === undefined;
    const loaded = await loadHypernetwork(gpu.device, opened, { ...unet, contextDim: isOld ? 8 : 4 });
    const changes = new Hypernetworks(strengths.map((strength) => ({ hypernetwork: loaded, strength })));
    const weights = ["to_q", "to_k", "to_v", "to_out.0"].map((part) => matrix(`self.${part}.weight`, width, width));
    const cross = ["to_q", "to_k", "to_v", "to_out.0"].map((part, i) =>
      matrix(`cross.${part}.weight`, width, i === 1 || i === 2 ? contextDim : width),
    );
    const biases = ["self", "cross"].map(
      (part): TestTensor => ({ name: `${part}.to_out.0.bias`, dtype: "F32", shape: [width], bytes: new Uint8Array(4 * width) }),
    );
    const file = await open(safetensors([...weights, ...cross, ...biases]));
    const checkpoint = new Checkpoint(file, gpu.device, { weightDType: "f32" });
    const attentions = await checkpoint.build((at) => ({
      self: new SelfAttention(at.at("self"), heads),
      cross: new CrossAttention(at.at("cross"), heads),
    }));
    const [x, context, none] = [
      gpu.random([1, pixels, width]),
      gpu.random([1, tokens, contextDim]),
      new Float32Array(pixels * width),
    ];

    const through = async (net: number, values: Float32Array, size: number) => {
      let c: Float64Array = Float64Array.from(values);
      for (const strength of strengths) c = await changed(opened, `${size}.${net}`, c, size, strength, activation);
      return c;
    };
    const residual = gpu.input([1, pixels, width], none);
    const self = await gpu.evaluate(() => attentions.self.forward(x.upload(), residual.upload(), changes));
    const [k, v] = [await through(0, x.values, width), await through(1, x.values, width)];
    const oracleCase = { batch: 1, queries: pixels, keys: pixels, heads, headDim: width / heads };
    const [q, keys, values] = [
      projected(x.values, weights[0]!.values, width),
      projected(k, weights[1]!.values, width),
      projected(v, weights[2]!.values, width),
    ];
    const attended = attentionOracle(operand(q), operand(keys), operand(values), oracleCase);
    closeTo(self, projected(attended, weights[3]!.values, width), 1e-5);

    if (isOld) expect(changes.at(contextDim)).toBeUndefined();
    else {
      const out = await gpu.evaluate(() =>
        attentions.cross.forward(x.upload(), attentions.cross.prepare(context.upload(), changes), residual.upload()),
      );
      const [ck, cv] = [await through(0, context.values, contextDim), await through(1, context.values, contextDim)];
      const made = attentionOracle(
        operand(projected(x.values, cross[0]!.values, width)),
        operand(projected(ck, cross[1]!.values, contextDim)),
        operand(projected(cv, cross[2]!.values, contextDim)),
        { ...oracleCase, keys: tokens },
      );
      closeTo(out, projected(made, cross[3]!.values, width), 1e-5);
    }
    loaded.free();
    checkpoint.free();
  });

  test("strength 0, and widths that no network is for, change nothing", async () => {
    const loaded = await loadHypernetwork(gpu.device, await saved("hypernetwork.pt"), unet);
    expect(new Hypernetworks([{ hypernetwork: loaded, strength: 0 }]).at(8)).toBeUndefined();
    expect(new Hypernetworks([{ hypernetwork: loaded, strength: 1 }]).at(16)).toBeUndefined();
    loaded.free();
  });

  test.each([
    [{ contextDim: 16, modelChannels: 32 }, "nothing fits"],
    [{ contextDim: 16, modelChannels: 8 }, "the context does not"],
  ])("another family: %j", async (other) => {
    const opened = await saved("hypernetwork.pt");
    await expect(loadHypernetwork(gpu.device, opened, { ...unet, ...other })).rejects.toMatchObject({
      code: "HYPERNETWORK_FAMILY",
    });
  });

  const tensor = (shape: readonly number[]) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    return tensorOps({ count: 256, shape, strides });
  };
  /** {8: [net, net], ...facts} with the layers' shapes. */
  const made = (shapes: Readonly<Record<string, readonly number[]>>, facts: Readonly<Record<string, readonly number[]>> = {}) => {
    const net = dictOps(Object.fromEntries(Object.entries(shapes).map(([name, shape]) => [name, tensor(shape)])));
    const entries = [
      op.int(8),
      op.emptyList,
      op.mark,
      net,
      net,
      op.appends,
      ...Object.entries(facts).flatMap(([key, value]) => [op.text(key), value]),
    ];
    return new MemorySource(
      torchZip(pickle(op.emptyDict, op.mark, ...entries, op.setItems), { 0: new Uint8Array(1024) }),
      "h.pt",
    );
  };
  const layer = (index: string, shape: readonly [number, number]) => ({
    [`${index}.weight`]: shape,
    [`${index}.bias`]: [shape[0]],
  });

  test.each([
    ["a gap", { ...layer("linear.0", [16, 8]), ...layer("linear.2", [8, 12]) }],
    ["too few out", { ...layer("linear.0", [4, 8]) }],
    ["no multiple of 4", { ...layer("linear.0", [6, 8]), ...layer("linear.2", [8, 6]) }],
    ["three axes", { "linear.0.weight": [2, 2, 8], "linear.0.bias": [2] }],
  ])("layers that don't fit: %s", async (_, shapes) => {
    const opened = await openHypernetwork(made(shapes as Record<string, readonly number[]>));
    await expect(loadHypernetwork(gpu.device, opened, { ...unet, contextDim: 8 })).rejects.toMatchObject({
      code: "HYPERNETWORK_SHAPE",
    });
  });

  test("swish is hardswish, linear is nothing, others are refused by name", async () => {
    const one = (name: string) => openHypernetwork(made(layer("linear.0", [8, 8]), { activation_func: op.text(name) }));
    expect([(await one("Swish")).activation, (await one("linear")).activation]).toEqual(["hardswish", undefined]);
    await expect(one("multiheadattention")).rejects.toMatchObject({
      code: "HYPERNETWORK_ACTIVATION",
      message: expect.stringContaining("multihead"),
    });
  });

  test("activate_output", async () => {
    const one = (value: readonly number[]) => openHypernetwork(made(layer("linear.0", [8, 8]), { activate_output: value }));
    expect([(await one([0x89])).activateOutput, (await one([0x88])).activateOutput]).toEqual([false, true]);
    expect((await openHypernetwork(made(layer("linear.0", [8, 8])))).activateOutput).toBe(true);
  });
});

test.each([
  ["a safetensors file", safetensors([])],
  ["a state dict", torchZip(pickle(dictOps({ x: op.int(1) })))],
  ["a width without networks", torchZip(pickle(op.emptyDict, op.mark, op.int(768), op.emptyList, op.setItems))],
])("%s is no hypernetwork", async (_, bytes) => {
  await expect(openHypernetwork(new MemorySource(bytes, "h.pt"))).rejects.toMatchObject({ code: "NOT_A_HYPERNETWORK" });
});
