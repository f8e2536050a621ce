/** The prompt asks for something that cannot be: a weight that is no number (INVALID_PROMPT_WEIGHT), a tag that is refused (INVALID_PROMPT_TAG), too many brackets in each other (PROMPT_NESTING). */
export class PromptError extends RangeError {
  override readonly name = "PromptError";
  readonly code: "INVALID_PROMPT_WEIGHT" | "INVALID_PROMPT_TAG" | "PROMPT_NESTING";
  /** The way out. */
  readonly hint: string;

  constructor(code: PromptError["code"], message: string, hint: string) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

/** As a quoted string of printable characters, cut: for messages. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
