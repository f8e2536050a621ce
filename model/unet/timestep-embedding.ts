/**
 * Sinusoidal embedding of timesteps (Ho et al. 2020; `timestep_embedding` in ldm/modules/diffusionmodules/util.py): cosines first.
 * timesteps [N] (may be fractional) -> [N, width], computed in f64 on the CPU: a few hundred numbers a step.
 */
export function timestepEmbedding(timesteps: readonly number[], width: number): Float32Array {
  const half = width / 2;
  const embedding = new Float32Array(timesteps.length * width);
  for (const [n, t] of timesteps.entries()) {
    for (let i = 0; i < half; i++) {
      const angle = t * Math.exp((-Math.log(10000) * i) / half);
      embedding[n * width + i] = Math.cos(angle);
      embedding[n * width + half + i] = Math.sin(angle);
    }
  }
  return embedding;
}
