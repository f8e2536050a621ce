/**
 * @file Fits the colours of a checkpoint's latents (model/preview/colours.ts): least squares of the picture, shrunk to the latent's size,
 * over the latent's channels and a bias, for pictures of what the checkpoint knows.
 *
 *   npx tsx scripts/fit-preview.ts [CHECKPOINT.safetensors [PICTURES]]
 */
import { fileURLToPath } from "node:url";
import { openFile } from "../cli/files/file-source.ts";
import { openDevice } from "../cli/gpu/device.ts";
import { type GeneratedImage, StableDiffusion } from "../model/index.ts";

const embedded = fileURLToPath(new URL("../checkpoints/limn-emoji.safetensors", import.meta.url));
const [file = embedded, pictures = "24"] = process.argv.slice(2);
const steps = 12;

const opened = await openDevice({ requireGpu: false, precision: "auto" });
const source = await openFile(file);
const diffusion = await StableDiffusion.load(source, { device: opened.device });
const { knows, backgrounds } = diffusion.config;
const unknowns = 5;
/** Normal equations, [5, 5] and [5, 3]. */
const left = Array.from({ length: unknowns }, () => new Float64Array(unknowns));
const right = Array.from({ length: unknowns }, () => new Float64Array(3));
const seen: { readonly inputs: readonly number[]; readonly rgb: readonly number[] }[] = [];

for (let i = 0; i < Number(pictures); i++) {
  const thing = knows[Math.floor((i * knows.length) / Number(pictures))] ?? "a photo";
  const background = backgrounds[i % Math.max(backgrounds.length, 1)];
  const prompt = i % 2 === 0 || background === undefined ? thing : `${thing} on a ${background} background`;
  add(await make(prompt, BigInt(i)));
  console.error(`${i + 1}/${pictures} ${prompt}`);
}
const fitted = solve(left, right);
const error = seen.reduce(
  (sum, { inputs, rgb }) => sum + rgb.reduce((all, value, c) => all + (value - predicted(inputs, c)) ** 2, 0),
  0,
);
const rows = fitted.map((row) => `[${[...row].map((value) => value.toFixed(4)).join(", ")}]`);
console.log(`rows\n  ${rows.slice(0, 4).join("\n  ")}\nbias\n  ${rows[4]}`);
console.log(`root mean square error ${Math.sqrt(error / seen.length / 3).toFixed(3)} of 2, over ${seen.length} cells`);
diffusion.free();
opened.close();
await source.close();
process.exit(0);

async function make(prompt: string, seed: bigint): Promise<GeneratedImage> {
  const run = diffusion.generate(prompt, { seed, steps });
  for (;;) {
    const next = await run.next();
    if (next.done) return next.value;
  }
}

/** A row for each cell: its four channels and 1, and the mean colour of its 8 x 8 pixels in -1..1. */
function add({ width, height, latent, pixels }: GeneratedImage): void {
  const [across, down] = [width / 8, height / 8];
  const cells = across * down;
  for (let y = 0; y < down; y++) {
    for (let x = 0; x < across; x++) {
      const inputs = [...[0, 1, 2, 3].map((c) => latent[c * cells + y * across + x]!), 1];
      const rgb = [0, 1, 2].map((c) => meanOf(pixels, width, 8 * x, 8 * y, c));
      seen.push({ inputs, rgb });
      for (const [i, a] of inputs.entries()) {
        for (const [j, b] of inputs.entries()) left[i]![j]! += a * b;
        for (const [c, value] of rgb.entries()) right[i]![c]! += a * value;
      }
    }
  }
}

function meanOf(pixels: Uint8Array, width: number, left: number, top: number, channel: number): number {
  let sum = 0;
  for (let y = top; y < top + 8; y++) for (let x = left; x < left + 8; x++) sum += pixels[4 * (y * width + x) + channel]!;
  return sum / 64 / 127.5 - 1;
}

function predicted(inputs: readonly number[], channel: number): number {
  return inputs.reduce((sum, value, i) => sum + value * fitted[i]![channel]!, 0);
}

/** Gauss and Jordan's elimination with pivots; both sides are changed. */
function solve(matrix: readonly Float64Array[], sides: readonly Float64Array[]): Float64Array[] {
  const [a, b] = [[...matrix], [...sides]];
  for (let i = 0; i < a.length; i++) {
    const pivot = a.reduce((best, row, r) => (r >= i && Math.abs(row[i]!) > Math.abs(a[best]![i]!) ? r : best), i);
    [a[i], a[pivot]] = [a[pivot]!, a[i]!];
    [b[i], b[pivot]] = [b[pivot]!, b[i]!];
    const by = a[i]![i]!;
    a[i] = a[i]!.map((value) => value / by);
    b[i] = b[i]!.map((value) => value / by);
    for (let r = 0; r < a.length; r++) {
      const share = a[r]![i]!;
      if (r === i || share === 0) continue;
      a[r] = a[r]!.map((value, k) => value - share * a[i]![k]!);
      b[r] = b[r]!.map((value, k) => value - share * b[i]![k]!);
    }
  }
  return b;
}
