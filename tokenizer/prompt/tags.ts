/**
 * @file Tags of extra networks, `<lora:name:0.8>`. Syntax of AUTOMATIC1111's web UI 1.10, modules/extra_networks.py and
 * extensions-builtin/Lora/extra_networks_lora.py; what that would pass on to the file system is refused here.
 */
import { wordLength } from "./characters.ts";
import { PromptError, quoted } from "./prompt-error.ts";

/** `<kind:argument:argument>`. */
export interface PromptTag {
  readonly kind: string;
  readonly arguments: readonly string[];
}

/** A LoRA that the prompt asks for. The name is one to look up in a listing, never a path. */
export interface LoraTag {
  readonly name: string;
  /** Strength in the text encoder and in the U-Net. */
  readonly textEncoder: number;
  readonly unet: number;
  /** Rank to cut it to. */
  readonly rank?: number;
}

/** A hypernetwork that the prompt asks for, by name too. */
export interface HypernetTag {
  readonly name: string;
  readonly strength: number;
}

/** Most LoRAs, and most hypernetworks, in one prompt. */
export const maxLoras = 16;
/** Strengths are -10 to 10. */
const maxStrength = 10;

const path = /^~|[/\\\0]/;
const number = /^\s*[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?\s*$/i;

/** The prompt without its tags (the blanks around them stay), and the tags in their order. Linear time; any string is valid. */
export function removeTags(prompt: string): { readonly text: string; readonly tags: readonly PromptTag[] } {
  const tags: PromptTag[] = [];
  let text = "";
  let rest = 0;
  for (let open = prompt.indexOf("<"); open >= 0; open = prompt.indexOf("<", open + 1)) {
    const colon = kindEnd(prompt, open + 1);
    if (colon < 0) continue;
    const end = prompt.indexOf(">", colon);
    if (end < 0) break;
    if (end === colon + 1) continue;
    tags.push({ kind: prompt.slice(open + 1, colon), arguments: prompt.slice(colon + 1, end).split(":") });
    text += prompt.slice(rest, open);
    rest = end + 1;
    open = end;
  }
  return { text: text + prompt.slice(rest), tags };
}

/** The colon behind the name of a kind; -1 if there is no such name. */
function kindEnd(prompt: string, start: number): number {
  let at = start;
  for (let length = 1; length > 0; at += length) length = wordLength(prompt, at);
  return at > start && prompt[at] === ":" ? at : -1;
}

/**
 * The LoRAs of `lora` and `lyco` tags. `<lora:name:te:unet:rank>`, the last three also as `te=`, `unet=`, `dyn=`; strengths are 1 if not given, the
 * U-Net's is the text encoder's. Strengths of one named twice are added.
 * @throws PromptError INVALID_PROMPT_TAG for a name with a path separator, NUL or leading ~, a strength that is no number of -10..10, more than 16 LoRAs.
 */
export function loraTags(tags: readonly PromptTag[]): LoraTag[] {
  const byName = new Map<string, LoraTag>();
  for (const { kind, arguments: list } of tags) {
    if (kind !== "lora" && kind !== "lyco") continue;
    const tag = loraTag(list);
    const before = byName.get(tag.name);
    byName.set(tag.name, before ? added(before, tag) : tag);
    if (byName.size > maxLoras) throw refused(`it names more than ${maxLoras} LoRAs`, "leave some out");
  }
  return [...byName.values()];
}

/**
 * The hypernetworks of `hypernet` tags, `<hypernet:name:strength>`, in their order; one named twice counts twice.
 * @throws PromptError INVALID_PROMPT_TAG as `loraTags`
 */
export function hypernetTags(tags: readonly PromptTag[]): HypernetTag[] {
  const found = tags.filter(({ kind }) => kind === "hypernet");
  if (found.length > maxLoras) throw refused(`it names more than ${maxLoras} hypernetworks`, "leave some out");
  return found.map(({ arguments: [name = "", text = "1"] }) => {
    expectName(name, "hypernetwork", "hypernet");
    return { name, strength: strength(name, text, "hypernetwork") };
  });
}

function expectName(name: string, what: string, kind: string): void {
  if (name !== "" && !path.test(name)) return;
  throw refused(
    `${quoted(name)} is a path, not the name of a ${what}`,
    `write the file's name without folder and ending, as in <${kind}:name:0.8>`,
  );
}

function loraTag([name = "", ...rest]: readonly string[]): LoraTag {
  expectName(name, "LoRA", "lora");
  const positional: string[] = [];
  const named: { te?: string; unet?: string; dyn?: string } = {};
  for (const one of rest) {
    const equals = one.indexOf("=");
    if (equals < 0 || one.includes("=", equals + 1)) {
      positional.push(one);
      continue;
    }
    const key = one.slice(0, equals);
    if (key === "te" || key === "unet" || key === "dyn") named[key] = one.slice(equals + 1);
  }
  const te = named.te ?? positional[0];
  const ofUnet = named.unet ?? positional[1];
  const dyn = named.dyn ?? positional[2];
  const textEncoder = te === undefined ? 1 : strength(name, te);
  const unet = ofUnet === undefined ? textEncoder : strength(name, ofUnet);
  return dyn === undefined ? { name, textEncoder, unet } : { name, textEncoder, unet, rank: wholeRank(name, dyn) };
}

function added(one: LoraTag, other: LoraTag): LoraTag {
  const { name } = one;
  const textEncoder = one.textEncoder + other.textEncoder;
  const unet = one.unet + other.unet;
  const rank = other.rank ?? one.rank;
  return rank === undefined ? { name, textEncoder, unet } : { name, textEncoder, unet, rank };
}

function strength(name: string, text: string, what = "LoRA"): number {
  const value = number.test(text) ? Number(text) : Number.NaN;
  if (Math.abs(value) <= maxStrength) return value;
  throw refused(
    `${quoted(text)} is no strength for the ${what} ${quoted(name)}`,
    `use a number from -${maxStrength} to ${maxStrength}; 0.8 is usual`,
  );
}

function wholeRank(name: string, text: string): number {
  const value = /^\s*\d+\s*$/.test(text) ? Number(text) : 0;
  if (value >= 1 && Number.isSafeInteger(value)) return value;
  throw refused(`${quoted(text)} is no rank for the LoRA ${quoted(name)}`, "use a whole number of at least 1, or leave it out");
}

function refused(fact: string, hint: string): PromptError {
  return new PromptError("INVALID_PROMPT_TAG", `prompt: ${fact}`, hint);
}
