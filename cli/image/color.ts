/** @file Colours as they are given on the command line. */
import { UsageError } from "../../engine/errors.ts";

export type Color = readonly [red: number, green: number, blue: number];

/** "white", "black" or "#rrggbb". @throws UsageError INVALID_BG */
export function parseColor(text: string): Color {
  const named: Readonly<Record<string, Color>> = { white: [255, 255, 255], black: [0, 0, 0], grey: [128, 128, 128] };
  const known = named[text.toLowerCase()];
  if (known) return known;
  const hex = /^#?([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})$/i.exec(text);
  if (!hex)
    throw new UsageError("INVALID_BG", `--bg: ${JSON.stringify(text)} is no colour`, {
      hint: "use white, black, grey or #rrggbb",
    });
  const [red, green, blue] = hex.slice(1).map((digits) => Number.parseInt(digits, 16));
  return [red!, green!, blue!];
}
