/**
 * Sinusoidal embedding of timesteps (Ho et al. 2020; `timestep_embedding` in ldm/modules/diffusionmodules/util.py): cosines first.
 * timesteps [N] (may be fractional) -> [N, width], computed on the CPU: a few hundred numbers a step. Frequencies and angles are
 * rounded to f32 where the original rounds them: at t = 999 that moves an angle by up to 6e-5, more than all that follows.
 */
export function timestepEmbedding(timesteps: readonly number[], width: number): Float32Array {
  const half = width / 2;
  const { fround } = Math;
  const frequencies = Float32Array.from({ length: half }, (_, i) =>
    Math.exp(fround(fround(fround(-Math.log(10000)) * i) / half)),
  );
  const embedding = new Float32Array(timesteps.length * width);
  for (const [n, t] of timesteps.entries()) {
    for (const [i, frequency] of frequencies.entries()) {
      const angle = fround(fround(t) * frequency);
      embedding[n * width + i] = Math.cos(angle);
      embedding[n * width + half + i] = Math.sin(angle);
    }
  }
  return embedding;
}
