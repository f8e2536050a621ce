/** @file Tests that can't run on this machine say why: vitest's own summary only counts them. */

const said = new Set<string>();

/** For `skipIf`: true where there is a reason why not, which is printed, once for each file of tests. */
export function skipped(what: string, why: string | false | undefined): boolean {
  if (!why) return false;
  const line = `skipped: ${what} (${why})`;
  if (!said.has(line)) console.warn(line);
  said.add(line);
  return true;
}
