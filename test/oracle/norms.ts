/** @file Plain-loop twins of group-norm and layer-norm, in f64. */

/** x [samples, pixels, channels]; mean and variance over a group's channels and all pixels of a sample. */
export function groupNorm(
  x: Float32Array,
  gain: Float32Array,
  shift: Float32Array,
  sizes: { samples: number; pixels: number; channels: number; groups: number; eps: number; silu: boolean },
): Float64Array {
  const { samples, pixels, channels, groups, eps, silu } = sizes;
  const y = new Float64Array(x.length);
  for (let n = 0; n < samples; n++) {
    for (let g = 0; g < groups; g++) {
      const members: number[] = [];
      for (let i = 0; i < pixels * channels; i++) {
        if (Math.floor((i % channels) / (channels / groups)) === g) members.push(n * pixels * channels + i);
      }
      const { mean, deviation } = moments(
        members.map((i) => x[i]!),
        eps,
      );
      for (const i of members) {
        const value = ((x[i]! - mean) / deviation) * gain[i % channels]! + shift[i % channels]!;
        y[i] = silu ? value / (1 + Math.exp(-value)) : value;
      }
    }
  }
  return y;
}

/** x [rows, width]; each row by itself. */
export function layerNorm(x: Float32Array, gain: Float32Array, shift: Float32Array, eps: number): Float64Array {
  const width = gain.length;
  const y = new Float64Array(x.length);
  for (let first = 0; first < x.length; first += width) {
    const { mean, deviation } = moments([...x.subarray(first, first + width)], eps);
    for (let c = 0; c < width; c++) y[first + c] = ((x[first + c]! - mean) / deviation) * gain[c]! + shift[c]!;
  }
  return y;
}

function moments(values: readonly number[], eps: number): { mean: number; deviation: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  return { mean, deviation: Math.sqrt(variance + eps) };
}
