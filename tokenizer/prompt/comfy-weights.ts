/**
 * @file Weights as ComfyUI reads them (comfy/sd1_clip.py): `(text)` is 1.1 times what is around it, `(text:1.3)` is 1.3 whatever is around
 * it, `\(` and `\)` are brackets of text. Square brackets, BREAK and AND mean nothing.
 */
import { maxDepth, type WeightedText } from "./attention.ts";

const up = 1.1;
const python = /^\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/** From `begin` to before `end` of the prompt; in brackets if it came between two. */
interface Item {
  readonly begin: number;
  readonly end: number;
  readonly bracketed: boolean;
}

/** The stretches of a prompt with their weights, from left to right; none for an empty one. Any string is valid. */
export function parseComfyWeights(prompt: string): WeightedText[] {
  const stretches: WeightedText[] = [];
  const brackets = bracketsOf(prompt);
  const read = (begin: number, end: number, weight: number, depth: number): void => {
    for (const item of itemsOf(brackets, begin, end)) {
      if (!item.bracketed || depth === maxDepth) {
        stretches.push([unescaped(prompt.slice(item.begin, item.end)), weight]);
        continue;
      }
      const [from, to] = [item.begin + 1, item.end - 1];
      const colon = prompt.slice(from, to).lastIndexOf(":");
      const number = prompt.slice(from + colon + 1, to);
      if (colon > 0 && python.test(number)) read(from, from + colon, Number(number), depth + 1);
      else read(from, to, weight * up, depth + 1);
    }
  };
  read(0, prompt.length, 1, 0);
  return stretches;
}

/**
 * What stands outside of brackets, and each outermost pair. A closing bracket too many is text, and makes text of the next opening one;
 * brackets that are never closed are text too, unless the prompt ends in some other bracket's end.
 */
function itemsOf(brackets: Int8Array, begin: number, end: number): Item[] {
  const items: Item[] = [];
  let start = begin;
  let level = 0;
  const close = (at: number): void => {
    if (at > start) {
      const bracketed = at - start >= 2 && brackets[start] === 1 && brackets[at - 1] === -1;
      items.push({ begin: start, end: at, bracketed });
    }
    start = at;
  };
  for (let at = begin; at < end; at++) {
    const bracket = brackets[at]!;
    if (bracket === 0) continue;
    if (bracket === 1 && level === 0) close(at);
    level += bracket;
    if (bracket === -1 && level === 0) close(at + 1);
  }
  close(end);
  return items;
}

/** 1 for an opening bracket, -1 for a closing one, 0 for text; looked up once, as brackets may be many levels deep. */
function bracketsOf(prompt: string): Int8Array {
  const brackets = new Int8Array(prompt.length);
  for (let at = 0; at < prompt.length; at++) {
    const character = prompt[at];
    if ((character === "(" || character === ")") && prompt[at - 1] !== "\\") brackets[at] = character === "(" ? 1 : -1;
  }
  return brackets;
}

function unescaped(text: string): string {
  return text.replace(/\\([()])/g, "$1");
}
