/**
 * @file What colour a latent stands for: rgb = latent M + bias, in [-1, 1]. Good enough to see what will come, and it costs nothing. A
 * latent space is known by its scale factor. SD and SDXL: ComfyUI's numbers (comfy/latent_formats.py); the checkpoint that
 * comes with limn: fitted by scripts/fit-preview.ts.
 */

export interface LatentColours {
  /** One row for each channel of the latent: its red, green and blue. */
  readonly rows: readonly (readonly [red: number, green: number, blue: number])[];
  readonly bias: readonly [red: number, green: number, blue: number];
}

const sd: LatentColours = {
  rows: [
    [0.3512, 0.2297, 0.3227],
    [0.325, 0.4974, 0.235],
    [-0.2829, 0.1762, 0.2721],
    [-0.212, -0.2616, -0.7177],
  ],
  bias: [0, 0, 0],
};

const sdxl: LatentColours = {
  rows: [
    [0.3651, 0.4232, 0.4341],
    [-0.2533, -0.0042, 0.1068],
    [0.1076, 0.1111, -0.0362],
    [-0.3165, -0.2492, -0.2188],
  ],
  bias: [0.1084, -0.0175, -0.0011],
};

const limnEmoji: LatentColours = {
  rows: [
    [0.1869, 0.2927, 0.058],
    [-0.7003, -0.0174, 0.4616],
    [0.1547, 0.1593, 0.3016],
    [-0.1821, 0.1602, 0.4094],
  ],
  bias: [0.354, 0.1394, -0.0357],
};

const known: readonly (readonly [scaleFactor: number, colours: LatentColours])[] = [
  [0.18215, sd],
  [0.13025, sdxl],
  [0.5205553255037674, limnEmoji],
];

/** Of the latent space with this scale factor; of an unknown one SD's, which shows shapes at least. */
export function latentColours(scaleFactor: number): LatentColours {
  return known.find(([factor]) => Math.abs(factor - scaleFactor) < 1e-6)?.[1] ?? sd;
}
