/**
 * @file Consistency-distilled models take the guidance scale as an input (Luo et al. 2023, "Latent Consistency Models", section 4.2;
 * `get_guidance_scale_embedding` in diffusers): they need no second run of the U-Net for a negative prompt.
 */
import type { RowReader } from "../checkpoint/weights.ts";

/** Sines, then cosines, of w = 1000 (guidance - 1) at frequencies from 1 down to 1/10000. -> [width] */
export function guidanceEmbedding(guidance: number, width: number): Float32Array {
  const half = width / 2;
  const w = 1000 * (guidance - 1);
  const angle = (i: number): number => w * Math.exp((-i * Math.log(10000)) / (half - 1));
  return Float32Array.from({ length: width }, (_, i) => (i < half ? Math.sin(angle(i)) : Math.cos(angle(i - half))));
}

/** What is added to the timestep's embedding [modelChannels]. `projection` [modelChannels, width] */
export async function projectedGuidance(projection: RowReader, guidance: number): Promise<Float32Array> {
  const { count, width } = projection;
  const embedding = guidanceEmbedding(guidance, width);
  const rows = await projection.read(Array.from({ length: count }, (_, row) => row));
  return Float32Array.from({ length: count }, (_, row) =>
    embedding.reduce((sum, value, i) => sum + value * rows[row * width + i]!, 0),
  );
}
