import { beforeAll, expect, it } from "vitest";
import {
  loraTags,
  PromptError,
  parseAttention,
  promptSchedule,
  removeComments,
  removeTags,
  splitParts,
} from "../../tokenizer/prompt/index.ts";

const size = 65_536;
const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
const around = (open: string, inner: string, close: string) => {
  const levels = Math.floor((size - inner.length) / (open.length + close.length));
  return open.repeat(levels) + inner + close.repeat(levels);
};

/** Texts that take a parser with nested brackets or backtracking patterns to quadratic time or past the end of its stack. */
const hostile = [
  ...[
    "(",
    ")",
    "[",
    "]",
    ":",
    "|",
    "\\",
    "<",
    " ",
    "\n",
    "1",
    ".",
    "(a",
    "[a",
    "[a:",
    "[a|",
    "(a:",
    "<a:",
    "<a:>",
    "#\n",
    "\\(",
    ": ",
  ],
  ...[
    "BREAK ",
    " BREAK",
    "AND ",
    "a:1.1 AND ",
    "[a|b]",
    "[a:b:1]",
    "[a:b:c",
    "(a:1.1)",
    ":1.1)",
    "[|",
    "[](",
    "](",
    "[a:b:1](]",
    "é",
    "\ud800",
  ],
].map(fill);
hostile.push(
  around("(", "a", ")"),
  around("[", "a", "]"),
  around("(a ", "b", ":1.1)"),
  around("[", "a", ":1]"),
  around("[a|", "b", "]"),
  around("([", "[a:b:3]", "])"),
  `(a:${"1".repeat(size - 10)}x)`,
  `[a:b:${"1".repeat(size - 10)}x]`,
  `a:${"1".repeat(size - 10)}x`,
  `a${" ".repeat(size - 2)}b`,
  `a:${" ".repeat(size - 3)}b`,
  `<${"a".repeat(size - 2)}`,
  `<lora:${fill("x:")}>`.slice(0, size),
);

const named = hostile.map((prompt) => [`${prompt.slice(0, 12)}...${prompt.slice(-8)}`, prompt] as const);

function parse(prompt: string): void {
  const { text, tags } = removeTags(removeComments(prompt));
  for (const part of splitParts(text)) promptSchedule(part.text, 20);
  // A refusal in time is fine too.
  for (const work of [() => loraTags(tags), () => parseAttention(text)]) {
    try {
      work();
    } catch (error) {
      expect(error).toBeInstanceOf(PromptError);
    }
  }
}

// The first texts would otherwise be timed before the code is compiled.
beforeAll(() => hostile.slice(0, 8).forEach(parse));

it.each(named)("parses 64 KiB of %j in less than 50 ms", (_, prompt) => {
  // In processor time and with more tries while it is too slow: the machine may be busy with other tests.
  let fastest = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 20 && fastest >= 50; attempt++) {
    const start = process.cpuUsage();
    parse(prompt);
    fastest = Math.min(fastest, process.cpuUsage(start).user / 1000);
  }
  expect(fastest).toBeLessThan(50);
});
