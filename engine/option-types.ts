/** @file What options must be, said once and looked at: TypeScript sees to it for its own callers, plain JavaScript has no one who does. */
import { UsageError } from "./errors.ts";

/** What a value must be. */
export interface Kind {
  /** With its article, for messages: "a number". */
  readonly what: string;
  readonly is: (value: unknown) => boolean;
  /** How to give it, where that is not plain. */
  readonly hint?: string;
  /** It may not be left out. */
  readonly needed?: boolean;
  /** Of the options within it. */
  readonly parts?: OptionKinds;
  /** Of each of its elements. */
  readonly items?: Kind;
}

export type OptionKinds = Readonly<Record<string, Kind>>;

const ofType = (what: string, type: string): Kind => ({ what, is: (value) => typeof value === type });

/** NaN is one: that it lies within a range is another check. */
export const aNumber = ofType("a number", "number");
export const aBigint: Kind = { ...ofType("a bigint", "bigint"), hint: "write 3n for 3, or BigInt(value)" };
export const aString = ofType("a string", "string");
export const aBoolean = ofType("true or false", "boolean");
export const aFunction = ofType("a function", "function");
export const aWholeNumber: Kind = { what: "a whole number", is: Number.isSafeInteger };
export const aPositiveNumber: Kind = { what: "a number above 0", is: (value) => typeof value === "number" && value > 0 };
export const floats: Kind = { what: "a Float32Array", is: (value) => value instanceof Float32Array };
/** A canvas gives its pixels as the clamped kind. */
export const bytes: Kind = {
  what: "a Uint8Array",
  is: (value) => value instanceof Uint8Array || value instanceof Uint8ClampedArray,
};
export const anAbortSignal = withMethods("an AbortSignal", "throwIfAborted", "addEventListener");

/** One of a few values. */
export function oneOf(...values: readonly string[]): Kind {
  const quoted = values.map((value) => JSON.stringify(value));
  return { what: `${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`, is: (value) => values.some((one) => one === value) };
}

/** An object that has these functions. */
export function withMethods(what: string, ...names: readonly string[]): Kind {
  return { what, is: (value) => isObject(value) && names.every((name) => typeof value[name] === "function") };
}

/** An object with options in it. */
export function record(parts: OptionKinds): Kind {
  return { what: "an object", is: isObject, parts };
}

export function listOf(items: Kind): Kind {
  return { what: "an array", is: Array.isArray, items };
}

export function needed(kind: Kind): Kind {
  return { ...kind, needed: true };
}

/** @param call what was called, for messages @throws UsageError INVALID_OPTION for the first value that is of another kind */
export function expectKinds(call: string, options: unknown, kinds: OptionKinds): void {
  expectKind(call, "options", options, record(kinds), "");
}

/** @throws UsageError INVALID_OPTION */
export function expectKind(call: string, name: string, value: unknown, kind: Kind, prefix = `${name}.`): void {
  if (!kind.is(value)) {
    const leave = kind.needed ? "it may not be left out" : "leave it out for its default";
    throw new UsageError("INVALID_OPTION", `${call}: ${name} is ${described(value)}, not ${kind.what}`, {
      hint: kind.hint ?? `give ${kind.what}; ${leave}`,
      context: { option: name },
    });
  }
  for (const [part, partKind] of Object.entries(kind.parts ?? {})) {
    const own = (value as Readonly<Record<string, unknown>>)[part];
    if (own !== undefined || partKind.needed) expectKind(call, `${prefix}${part}`, own, partKind);
  }
  if (kind.items) for (const [i, item] of (value as unknown[]).entries()) expectKind(call, `${name}[${i}]`, item, kind.items);
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

function described(value: unknown): string {
  if (typeof value === "string") return value.length > 60 ? "a long string" : `the string ${JSON.stringify(value)}`;
  if (typeof value === "bigint") return `the bigint ${value}`;
  if (typeof value === "function" || typeof value === "symbol") return `a ${typeof value}`;
  if (Array.isArray(value)) return "an array";
  return isObject(value) ? `an object${nameOf(value)}` : String(value);
}

function nameOf(value: object): string {
  const name: unknown = Object.getPrototypeOf(value)?.constructor?.name;
  return typeof name === "string" && name !== "Object" && name !== "" ? ` (${name})` : "";
}
