/** @file The regression gate: this run's times against a kept run's. */

interface Timed {
  readonly name: string;
  readonly rung?: string;
  readonly ms: number | { readonly median: number };
}

/** One line for each row that is slower than `maxSlowdown` times the kept one. Rows that only one of the two has don't count. */
export function compareRuns(kept: object, current: object, maxSlowdown: number): string[] {
  const before = new Map(rowsOf(kept).map((row) => [keyOf(row), millis(row)]));
  return rowsOf(current).flatMap((row) => {
    const old = before.get(keyOf(row));
    if (old === undefined || millis(row) <= old * maxSlowdown) return [];
    return [`${keyOf(row)}: ${millis(row).toFixed(2)} ms, was ${old.toFixed(2)} ms (${(millis(row) / old).toFixed(2)}x)`];
  });
}

function rowsOf(result: object): Timed[] {
  const rows = "rows" in result && Array.isArray(result.rows) ? (result.rows as Timed[]) : [];
  // The picture's bench has stages in the place of rows.
  const stages =
    "warm" in result
      ? Object.entries(result.warm as Record<string, number>).map(([name, seconds]) => ({ name, ms: 1000 * seconds }))
      : [];
  // That of a GPU has steps beside its rows.
  const steps =
    "steps" in result && Array.isArray(result.steps)
      ? (result.steps as { tier: string; stepsPerSecond: number }[]).map(({ tier, stepsPerSecond }) => ({
          name: `step, ${tier}`,
          ms: 1000 / stepsPerSecond,
        }))
      : [];
  return [...steps, ...rows, ...stages];
}

function keyOf(row: Timed): string {
  return row.rung === undefined ? row.name : `${row.name} ${row.rung}`;
}

function millis({ ms }: Timed): number {
  return typeof ms === "number" ? ms : ms.median;
}
