/** @file The regression gate: this run's times against a kept run's, where the two have measured the same. */
import { UsageError } from "../engine/index.ts";

interface Timed {
  readonly name: string;
  readonly rung?: string;
  readonly ms: number | { readonly median: number };
}

/** What is measured: where two runs differ in it, their times have nothing to do with each other. */
export interface Subject {
  readonly family?: string;
  /** Pixels. */
  readonly size?: number;
  readonly batch?: number;
  /** Of the checkpoint that is loaded. */
  readonly fileBytes?: number;
}

const subjectKeys = ["family", "size", "batch", "fileBytes"] as const;

/** What it is measured on, which a comparison may be about. */
const circumstanceKeys = ["adapter", "tier", "precision"] as const;

/**
 * Before a run, as far as it can be told: that it will have something in common with the kept one.
 * @param names of the rows that the run will have, if they are known
 * @throws UsageError NOTHING_TO_COMPARE
 */
export function expectComparable(kept: object, subject: Subject, names?: readonly string[]): void {
  for (const key of subjectKeys) {
    const [before, now] = [fieldOf(kept, key), fieldOf(subject, key)];
    if (before !== now) throw nothing(`the kept run's ${key} is ${before ?? "not given"}, this one's ${now ?? "not given"}`);
  }
  const times = timesOf(kept);
  if (times.size === 0) throw nothing("the kept run has no times");
  const known = new Set(rowsOf(kept).map(({ name }) => name));
  if (names && !names.some((name) => known.has(name))) throw nothing(`the kept run has none of ${names.join(", ")}`);
}

/**
 * One line for each row that is slower than `maxSlowdown` times the kept one, or has no time. Rows that only one of the two has don't
 * count. @throws UsageError NOTHING_TO_COMPARE where no row is in both
 */
export function compareRuns(kept: object, current: object, maxSlowdown: number): string[] {
  const before = timesOf(kept);
  const shared = rowsOf(current).filter((row) => before.has(keyOf(row)));
  if (shared.length === 0) throw nothing("no row is in both runs");
  return shared.flatMap((row) => {
    const [old, now] = [before.get(keyOf(row))!, millis(row)];
    if (now <= old * maxSlowdown) return [];
    return [`${keyOf(row)}: ${now.toFixed(2)} ms, was ${old.toFixed(2)} ms (${(now / old).toFixed(2)}x)`];
  });
}

/** A line for each circumstance that the runs don't share. */
export function differences(kept: object, current: object): string[] {
  return circumstanceKeys.flatMap((key) => {
    const [before, now] = [fieldOf(kept, key), fieldOf(current, key)];
    return before === now
      ? []
      : [`warning: compared with a run of another ${key}: ${before ?? "not given"}; this one's is ${now}`];
  });
}

function nothing(fact: string): UsageError {
  return new UsageError("NOTHING_TO_COMPARE", `--compare: ${fact}`, {
    hint: "compare with a run of the same command, family, size and batch",
  });
}

function fieldOf(result: object, key: string): unknown {
  return (result as Readonly<Record<string, unknown>>)[key];
}

function rowsOf(result: object): Timed[] {
  const rows = "rows" in result && Array.isArray(result.rows) ? (result.rows as Timed[]) : [];
  // The picture's bench has stages in the place of rows.
  const stages =
    "warm" in result
      ? Object.entries(result.warm as Record<string, number>).map(([name, seconds]) => ({ name, ms: 1000 * seconds }))
      : [];
  // That of loading has one time.
  const load = "readAndCopy" in result && "load" in result ? [{ name: "load", ms: 1000 * Number(result.load) }] : [];
  // That of a GPU has steps beside its rows.
  const steps =
    "steps" in result && Array.isArray(result.steps)
      ? (result.steps as { tier: string; stepsPerSecond: number }[]).map(({ tier, stepsPerSecond }) => ({
          name: `step, ${tier}`,
          ms: 1000 / stepsPerSecond,
        }))
      : [];
  return [...steps, ...rows, ...stages, ...load];
}

/** The rows that have a time. */
function timesOf(result: object): Map<string, number> {
  return new Map(rowsOf(result).flatMap((row) => (millis(row) > 0 ? [[keyOf(row), millis(row)] as const] : [])));
}

function keyOf(row: Timed): string {
  return row.rung === undefined ? row.name : `${row.name} ${row.rung}`;
}

/** NaN where there is none: JSON has null in its place. */
function millis({ ms }: Timed): number {
  return (typeof ms === "number" ? ms : ms?.median) ?? Number.NaN;
}
