/** @file Guidance rescaled to the spread of the conditional prediction, in plain loops and doubles. */

/** both: N unconditional images of `count` numbers, then N conditional ones. */
export function rescaledGuidance(both: Float32Array, images: number, strength: number, rescale: number): Float64Array {
  const count = both.length / images / 2;
  const result = new Float64Array(images * count);
  for (let n = 0; n < images; n++) {
    const u = both.subarray(n * count, (n + 1) * count);
    const c = both.subarray((images + n) * count, (images + n + 1) * count);
    const guided = Float64Array.from(u, (value, i) => value + strength * (c[i]! - value));
    const factor = rescale * (deviation(Float64Array.from(c)) / deviation(guided)) + 1 - rescale;
    for (let i = 0; i < count; i++) result[n * count + i] = guided[i]! * factor;
  }
  return result;
}

function deviation(values: Float64Array): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
