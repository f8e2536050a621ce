/** @file The name that a typo was meant to be. */

/** The candidate with the fewest edits to `name`, or undefined if even that changes half of it or more. */
export function nearestName(name: string, candidates: Iterable<string>): string | undefined {
  let [best, bestDistance]: [string | undefined, number] = [undefined, Math.max(name.length, 2) / 2];
  for (const candidate of candidates) {
    const distance = editDistance(name, candidate);
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Levenshtein's distance: insertions, deletions and replacements of one character. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
