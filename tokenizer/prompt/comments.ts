/** A prompt without its comments, from # to the end of the line, as AUTOMATIC1111's web UI 1.10 removes them (modules/processing_scripts/comments.py). */
export function removeComments(prompt: string): string {
  if (!prompt.includes("#")) return prompt;
  return prompt.replace(/(?:^|\n)#[^\n]*(?:\n|$)/g, "\n").replace(/#[^\n]*(?:\n|$)/g, "\n");
}
