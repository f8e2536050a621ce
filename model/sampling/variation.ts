/** @file A1111's variations of a seed's noise: a mixture with another seed's, and noise that keeps its place as the size changes. */

/** One image's noise [C, H, W]. */
export interface NoisePlanes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly values: Float32Array;
}

/** Nearly parallel noise is mixed linearly. */
const PARALLEL = 0.9995;

/**
 * Spherical interpolation (Shoemake 1985) from `low` (strength 0) to `high` (1), column by column: A1111 takes lengths and angles
 * along the height, and where the columns are nearly parallel on average it mixes the wrong way round, low * strength + high * (1 - strength).
 */
export function slerp(strength: number, low: NoisePlanes, high: NoisePlanes): NoisePlanes {
  const { channels, height, width } = low;
  const cosines = new Float64Array(channels * width);
  const at = (c: number, y: number, x: number) => (c * height + y) * width + x;
  for (let c = 0; c < channels; c++) {
    for (let x = 0; x < width; x++) {
      let [dot, lows, highs] = [0, 0, 0];
      for (let y = 0; y < height; y++) {
        const [a, b] = [low.values[at(c, y, x)]!, high.values[at(c, y, x)]!];
        dot += a * b;
        lows += a * a;
        highs += b * b;
      }
      cosines[c * width + x] = dot / Math.sqrt(lows * highs);
    }
  }
  const mean = cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length;
  const values = low.values.map((value, i) => {
    const other = high.values[i]!;
    if (mean > PARALLEL) return strength * value + (1 - strength) * other;
    const column = Math.floor(i / (height * width)) * width + (i % width);
    const angle = Math.acos(Math.min(1, Math.max(-1, cosines[column]!)));
    return (Math.sin((1 - strength) * angle) * value + Math.sin(strength * angle) * other) / Math.sin(angle);
  });
  return { ...low, values };
}

/** `patch` over the middle of `ground`, or the middle of `patch` where it is the larger one. */
export function pasteCentred(ground: NoisePlanes, patch: NoisePlanes): NoisePlanes {
  const [across, down] = [placement(ground.width, patch.width), placement(ground.height, patch.height)];
  const values = ground.values.slice();
  for (let c = 0; c < ground.channels; c++) {
    for (let y = 0; y < down.length; y++) {
      const from = (c * patch.height + down.from + y) * patch.width + across.from;
      const to = (c * ground.height + down.to + y) * ground.width + across.to;
      values.set(patch.values.subarray(from, from + across.length), to);
    }
  }
  return { ...ground, values };
}

function placement(ground: number, patch: number): { from: number; to: number; length: number } {
  const margin = Math.floor((ground - patch) / 2);
  return margin >= 0 ? { from: 0, to: margin, length: patch } : { from: -margin, to: 0, length: patch + 2 * margin };
}
