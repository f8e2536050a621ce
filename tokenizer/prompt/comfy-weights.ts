/**
 * @file Weights as ComfyUI reads them (comfy/sd1_clip.py): `(text)` is 1.1 times what is around it, `(text:1.3)` is 1.3 whatever is around
 * it, `\(` and `\)` are brackets of text. Square brackets, BREAK and AND mean nothing.
 */
import type { WeightedText } from "./attention.ts";
import { maxDepth, tooDeep } from "./depth.ts";

const up = 1.1;
const python = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/**
 * The stretches of a prompt with their weights, from left to right; none for an empty one. Linear time, as each level is looked through once.
 * @throws PromptError PROMPT_NESTING for pairs of brackets in more than 63 others; brackets without a partner are text
 */
export function parseComfyWeights(prompt: string): WeightedText[] {
  const reader = new Reader(prompt);
  reader.read(0, prompt.length, 1, 0);
  return reader.stretches;
}

class Reader {
  readonly stretches: WeightedText[] = [];
  readonly #prompt: string;
  readonly #brackets: Int8Array;

  constructor(prompt: string) {
    this.#prompt = prompt;
    this.#brackets = bracketsOf(prompt);
  }

  /**
   * What stands outside of brackets, and each outermost pair. A closing bracket too many is text, and makes text of the next opening one;
   * brackets that are never closed are text too, unless the prompt ends in some other bracket's end.
   */
  read(begin: number, end: number, weight: number, depth: number): void {
    const brackets = this.#brackets;
    let start = begin;
    let level = 0;
    for (let at = begin; at < end; at++) {
      const bracket = brackets[at]!;
      if (bracket === 0) continue;
      if (bracket === 1 && level === 0) {
        this.#item(start, at, weight, depth);
        start = at;
      }
      level += bracket;
      if (bracket === -1 && level === 0) {
        this.#item(start, at + 1, weight, depth);
        start = at + 1;
      }
    }
    this.#item(start, end, weight, depth);
  }

  /** Text, or a pair of brackets and what is in it. */
  #item(begin: number, end: number, weight: number, depth: number): void {
    if (begin === end) return;
    const paired = end - begin >= 2 && this.#brackets[begin] === 1 && this.#brackets[end - 1] === -1;
    if (!paired) {
      this.stretches.push([unescaped(this.#prompt.slice(begin, end)), weight]);
      return;
    }
    if (depth === maxDepth) throw tooDeep(depth + levelsIn(this.#brackets.subarray(begin, end)));
    const inside = this.#prompt.slice(begin + 1, end - 1);
    const colon = inside.lastIndexOf(":");
    const number = colon > 0 ? inside.slice(colon + 1) : "";
    if (python.test(number)) this.read(begin + 1, begin + 1 + colon, Number(number), depth + 1);
    else this.read(begin + 1, end - 1, weight * up, depth + 1);
  }
}

/** 1 for an opening bracket, -1 for a closing one, 0 for text; looked up once, as brackets may be many levels deep. */
function bracketsOf(prompt: string): Int8Array {
  const brackets = new Int8Array(prompt.length);
  let escaped = -1;
  for (let at = 0; at < prompt.length; at++) {
    const unit = prompt.charCodeAt(at);
    if (unit === 0x5c /* \ */) escaped = at + 1;
    else if (at === escaped) continue;
    else if (unit === 0x28 /* ( */) brackets[at] = 1;
    else if (unit === 0x29 /* ) */) brackets[at] = -1;
  }
  return brackets;
}

/** Of brackets in each other. */
function levelsIn(brackets: Int8Array): number {
  let level = 0;
  return brackets.reduce((most, bracket) => {
    level += bracket;
    return Math.max(most, level);
  }, 0);
}

function unescaped(text: string): string {
  return text.includes("\\") ? text.replace(/\\([()])/g, "$1") : text;
}
