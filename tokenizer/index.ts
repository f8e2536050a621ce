export { ClipTokenizer, maxPromptBytes, PromptTooLongError, type SequenceOptions } from "./clip-tokenizer.ts";
export { endToken, startToken } from "./vocabulary.ts";
