/** @file The words that a small checkpoint knows. */

/** Whether the prompt has one of the words or phrases that the checkpoint knows; true where it doesn't say what it knows. */
export function namesSomethingKnown(prompt: string, knows: readonly string[]): boolean {
  if (knows.length === 0) return true;
  const words = ` ${prompt
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .join(" ")} `;
  return knows.some((known) => words.includes(` ${known} `) || words.includes(` ${known}s `));
}
