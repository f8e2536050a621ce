/**
 * @file The values of an axis: texts with commas between, quotes where one holds a comma, and for numbers A1111's ranges:
 * 1-5 is 1, 2, 3, 4, 5; 10-30(+5) is 10, 15, 20, 25, 30; 1-10[5] is five values from 1 to 10.
 */
import { UsageError } from "../../engine/errors.ts";
import { parseCsv } from "../files/csv.ts";

/** What the values of an option are. */
export type ValueKind = "whole" | "number" | "text";

const most = 1000;
const range = /^([+-]?\d*\.?\d+)\s*-\s*([+-]?\d*\.?\d+)\s*(?:\(\s*([+-]?\d*\.?\d+)\s*\)|\[\s*(\d+)\s*\])?$/;

/** @throws UsageError INVALID_AXIS */
export function axisValues(text: string, kind: ValueKind): string[] {
  const fields = parseCsv(text, { trim: true }).flat();
  const values = fields.flatMap((field) => (kind === "text" ? [field.trim()] : expand(field.trim(), kind)));
  if (values.length === 0 || (kind !== "text" && values.includes(""))) {
    throw new UsageError("INVALID_AXIS", `${JSON.stringify(shown(text))} has an empty value`, { hint: "such as steps=10,20,30" });
  }
  return values;
}

function expand(field: string, kind: "whole" | "number"): string[] {
  const [, from, to, step, count] = range.exec(field) ?? [];
  if (from === undefined || to === undefined) return [field];
  const [first, last] = [Number(from), Number(to)];
  const numbers = count === undefined ? stepped(field, first, last, step) : spread(first, last, Number(count));
  if (numbers.length > most) {
    throw new UsageError("INVALID_AXIS", `${JSON.stringify(shown(field))} are ${numbers.length} values, ${most} are the most`, {
      hint: "take a larger step",
    });
  }
  // 0.1 + 0.2 is not 0.3: what is written is what was meant.
  return numbers.map((value) => String(kind === "whole" ? Math.trunc(value) : Number(value.toPrecision(12))));
}

function stepped(field: string, first: number, last: number, written: string | undefined): number[] {
  const step = written === undefined ? Math.sign(last - first) || 1 : Number(written);
  if (step === 0 || (last - first) / step < 0) {
    throw new UsageError("INVALID_AXIS", `${JSON.stringify(shown(field))} never arrives: the step is ${step}`, {
      hint: "10-30(+5) goes up, 30-10(-5) down",
    });
  }
  const count = Math.floor((last - first) / step + 1e-9) + 1;
  return Array.from({ length: Math.min(count, most + 1) }, (_, index) => first + index * step);
}

function spread(first: number, last: number, count: number): number[] {
  if (count < 1) throw new UsageError("INVALID_AXIS", "a range of 0 values", { hint: "1-10[5] is five values" });
  if (count === 1) return [first];
  return Array.from({ length: Math.min(count, most + 1) }, (_, index) => first + ((last - first) * index) / (count - 1));
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
