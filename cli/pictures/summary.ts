/** @file What a run of txt2img says about itself at the end: one JSON object for programs, two lines for people. */

export interface MadePicture {
  /** Where it went; "-" for stdout. */
  readonly path: string;
  readonly seed: bigint;
  readonly width: number;
  readonly height: number;
}

export interface Seconds {
  load: number;
  text: number;
  denoise: number;
  decode: number;
  /** From the start of the process. */
  total: number;
}

export interface Summary {
  readonly images: readonly MadePicture[];
  readonly seconds: Readonly<Seconds>;
  readonly stepsPerSecond: number;
  readonly dispatchesPerStep: number;
  readonly hostMicrosPerDispatch: number;
  readonly bindGroupsBuiltInReplay: number;
  readonly gpuBytes: number;
  readonly plannedBytes: number;
  readonly adapter: string;
  readonly tier: string;
  readonly precision: string;
}

/** Seeds that a JSON number can't hold exactly are strings; times have three decimals. */
export function summaryJson(summary: Summary): string {
  const images = summary.images.map(pictureRecord);
  const seconds = Object.fromEntries(Object.entries(summary.seconds).map(([stage, value]) => [stage, rounded(value)]));
  const { stepsPerSecond, hostMicrosPerDispatch } = summary;
  const rates = { stepsPerSecond: rounded(stepsPerSecond), hostMicrosPerDispatch: rounded(hostMicrosPerDispatch) };
  return `${JSON.stringify({ ...summary, images, seconds, ...rates })}\n`;
}

/** "a-red-fox-3.png  128x128, seed 3", then where the time went. */
export function summaryText({ images, seconds, stepsPerSecond }: Summary): string {
  const lines = images.map(
    ({ path, seed, width, height }) => `${path === "-" ? "(stdout)" : path}  ${width}x${height}, seed ${seed}`,
  );
  const stages = (["load", "text", "denoise", "decode"] as const)
    .map((stage) => `${stage} ${seconds[stage].toFixed(2)}`)
    .join(", ");
  return `${lines.join("\n")}\n${seconds.total.toFixed(1)} s (${stages}), ${stepsPerSecond.toFixed(1)} steps/s\n`;
}

/** For JSON. */
export function pictureRecord(image: MadePicture): Record<string, string | number> {
  return { ...image, seed: exact(image.seed) };
}

function exact(seed: bigint): number | string {
  return seed <= Number.MAX_SAFE_INTEGER ? Number(seed) : String(seed);
}

function rounded(value: number): number {
  return Math.round(value * 1000) / 1000;
}
