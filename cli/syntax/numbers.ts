/**
 * @file Numbers from the command line, strictly: `Number("")` is 0 and `parseInt("512px")` is 512, so the text is checked
 * before it is converted. Each returns a parser for commander.
 */
import { UsageError } from "../../engine/errors.ts";
import { mostSide } from "../../model/image/raster.ts";

const sideUnit = 8;
/** Smallest side: the U-Net halves the latent three times. */
const minSide = 64;

interface Range {
  readonly min: number;
  readonly max: number;
  /** What people mostly use: "20 to 50 is usual". */
  readonly hint?: string;
}

/** A parser for whole numbers min..max in decimal digits. @throws UsageError INVALID_<OPTION> */
export function wholeNumber(option: string, { min, max, hint }: Range): (text: string) => number {
  return (text) => {
    if (!/^[+-]?\d+$/.test(text.trim())) throw invalid(option, text, "is not a whole number", hint ?? `use ${min} to ${max}`);
    return inRange(option, text, { min, max, ...(hint === undefined ? {} : { hint }) });
  };
}

/** A parser for decimal numbers min..max, also as 1e-3. @throws UsageError INVALID_<OPTION> */
export function decimalNumber(option: string, range: Range): (text: string) => number {
  return (text) => {
    if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text.trim())) {
      throw invalid(option, text, "is not a number", range.hint ?? `use ${range.min} to ${range.max}`);
    }
    return inRange(option, text, range);
  };
}

/** A parser for a picture's width or height: a multiple of 8 (one latent cell), never rounded silently. @throws UsageError INVALID_<OPTION> */
export function pictureSide(option: string): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN;
    if (Number.isNaN(value))
      throw invalid(option, text, "is not a whole number of pixels", `give it without a unit: ${near(text)}`);
    if (value < minSide)
      throw invalid(option, text, `is below the smallest side, ${minSide}`, `use ${minSide} or ${minSide + sideUnit}`);
    if (value > mostSide)
      throw invalid(option, text, `is above the largest side, ${mostSide}`, `use ${mostSide - sideUnit} or ${mostSide}`);
    if (value % sideUnit === 0) return value;
    const below = value - (value % sideUnit);
    throw invalid(option, text, `is not a multiple of ${sideUnit}`, `use ${below} or ${below + sideUnit}`);
  };
}

/** "512px" -> "512": the number that was probably meant, as a valid side. */
function near(text: string): string {
  const digits = Number.parseInt(text, 10);
  if (!(digits >= minSide && digits <= mostSide)) return "512";
  return String(Math.round(digits / sideUnit) * sideUnit);
}

function inRange(option: string, text: string, { min, max, hint }: Range): number {
  const value = Number(text);
  const range = `use ${min} to ${max}${hint ? `; ${hint}` : ""}`;
  if (value < min) throw invalid(option, text, `is below the least, ${min}`, range);
  if (value > max) throw invalid(option, text, `is above the most, ${max}`, range);
  return value;
}

function invalid(option: string, text: string, fact: string, hint: string): UsageError {
  const shown = text.length > 40 ? `${text.slice(0, 40)}...` : text;
  return new UsageError(`INVALID_${option.toUpperCase().replaceAll("-", "_")}`, `--${option}: ${JSON.stringify(shown)} ${fact}`, {
    hint,
    context: { option, value: text },
  });
}
