/**
 * @file A roofline picture (Williams, Waterman & Patterson 2009) of a kept run of `bench kernels`: for each shape its arithmetic
 * intensity and rate, under what the adapter's memory and arithmetic allow. SVG, with no more than lines, dots and text.
 */
import type { Tier } from "../engine/index.ts";
import { arithmeticPeak, type Ceiling } from "./ceiling.ts";
import type { KernelRow } from "./kernels.ts";

export interface KeptKernels {
  readonly adapter: string;
  readonly tier: Tier;
  readonly precision: "f32" | "f16";
  readonly command?: string;
  readonly ceiling: Ceiling;
  readonly rows: readonly KernelRow[];
}

/** Whether a kept run is one that can be drawn. */
export function isKeptKernels(kept: object): kept is KeptKernels {
  const { ceiling, rows } = kept as Partial<KeptKernels>;
  return ceiling !== undefined && Array.isArray(rows) && rows.some(({ rung }: Partial<KernelRow>) => rung !== undefined);
}

const width = 1000;
const height = 640;
const plot = { left: 70, top: 60, right: 620, bottom: 580 } as const;
const colours: Readonly<Record<string, string>> = {
  matmul: "#2166ac",
  conv1x1: "#67a9cf",
  conv3x3: "#b2182b",
  attention: "#e08214",
  groupNorm: "#1b7837",
  layerNorm: "#7fbf7b",
};

/** A base-10 logarithmic axis from one power of ten to another. */
interface Axis {
  readonly low: number;
  readonly high: number;
  place(value: number): number;
}

export function drawRoofline(kept: KeptKernels): string {
  const { ceiling } = kept;
  const points = bestRows(kept.rows).map((row) => ({ row, intensity: row.gflops / row.gbs }));
  const roof = arithmeticPeak({ tier: kept.tier, storage: kept.precision }, ceiling);
  const ridge = roof / ceiling.copy;
  const x = axis([...points.map(({ intensity }) => intensity), ridge / 10, ridge * 10], plot.left, plot.right);
  const y = axis([...points.map(({ row }) => row.gflops), roof], plot.bottom, plot.top);
  const roofAt = (intensity: number): number => Math.min(roof, intensity * ceiling.copy);
  // The sloped part begins where it leaves the frame, to the left or below.
  const start = Math.max(x.low, y.low / ceiling.copy);
  const corners = [start, ridge, x.high].map((at) => `${round(x.place(at))},${round(y.place(roofAt(at)))}`);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    "<title>Roofline of the kernels</title>",
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    text(plot.left, 26, `Roofline: ${kept.adapter}`, 'font-size="16"'),
    text(
      plot.left,
      44,
      `tier ${kept.tier}, ${kept.precision}; roof ${roof.toFixed(0)} GFLOP/s, copy ${ceiling.copy.toFixed(1)} GB/s, as measured`,
    ),
    ...gridLines(x, y),
    `<polyline points="${corners.join(" ")}" fill="none" stroke="#333" stroke-width="2"/>`,
    ...points.flatMap(({ row, intensity }, i) => {
      const [cx, cy] = [round(x.place(intensity)), round(y.place(row.gflops))];
      return [
        `<circle cx="${cx}" cy="${cy}" r="5" fill="${colourOf(row.name)}"><title>${escapeText(describe(row))}</title></circle>`,
        text(cx + 7, cy + 4, `${i + 1}`, 'font-size="10"'),
      ];
    }),
    ...points.map(({ row }, i) =>
      text(plot.right + 30, plot.top + 8 + 17 * i, `${i + 1}  ${describe(row)}`, `fill="${colourOf(row.name)}"`),
    ),
    text((plot.left + plot.right) / 2 - 60, plot.bottom + 40, "FLOP per byte (each input and output once)"),
    `<text transform="translate(20 ${(plot.top + plot.bottom) / 2 + 30}) rotate(-90)">GFLOP/s</text>`,
    "</svg>",
    "",
  ].join("\n");
}

/** The fastest rung of each shape, in the order of the run. */
export function bestRows(rows: readonly KernelRow[]): KernelRow[] {
  const best = new Map<string, KernelRow>();
  for (const row of rows) {
    const known = best.get(row.name);
    if (!known || row.ms.median < known.ms.median) best.set(row.name, row);
  }
  return [...best.values()];
}

function describe({ name, rung, gflops, gbs, ofCeiling }: KernelRow): string {
  const rate = name.includes("Norm") ? `${gbs.toFixed(1)} GB/s` : `${gflops.toFixed(1)} GFLOP/s`;
  return `${name}, ${rung}: ${rate}, ${(100 * ofCeiling).toFixed(0)} %`;
}

function colourOf(name: string): string {
  return colours[name.split("_")[0] ?? ""] ?? "#555";
}

/** Whole powers of ten around the values. */
function axis(values: readonly number[], from: number, to: number): Axis {
  const low = 10 ** Math.floor(Math.log10(Math.min(...values)));
  const high = 10 ** Math.ceil(Math.log10(Math.max(...values)) + 1e-9);
  const place = (value: number): number => from + ((to - from) * Math.log10(value / low)) / Math.log10(high / low);
  return { low, high, place };
}

function gridLines(x: Axis, y: Axis): string[] {
  const lines: string[] = [];
  for (let at = x.low; at <= x.high * 1.001; at *= 10) {
    const place = round(x.place(at));
    lines.push(`<path d="M${place} ${plot.top}V${plot.bottom}" stroke="#ddd"/>`, text(place - 8, plot.bottom + 18, label(at)));
  }
  for (let at = y.low; at <= y.high * 1.001; at *= 10) {
    const place = round(y.place(at));
    lines.push(`<path d="M${plot.left} ${place}H${plot.right}" stroke="#ddd"/>`, text(plot.left - 44, place + 4, label(at)));
  }
  return lines;
}

function label(value: number): string {
  return String(Number(value.toPrecision(3)));
}

function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x}" y="${y}"${attributes && ` ${attributes}`}>${escapeText(content)}</text>`;
}

function escapeText(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
