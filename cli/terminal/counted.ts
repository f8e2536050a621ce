/** @file Numbers of things. */

/** "1 tensor", "508 tensors" */
export function counted(count: number, thing: string): string {
  return `${count} ${thing}${count === 1 ? "" : "s"}`;
}
