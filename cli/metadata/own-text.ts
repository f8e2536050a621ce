/**
 * @file limn's own text in its pictures, keyword `limn`: JSON with all that makes the picture again, also what A1111 has no key
 * for. It comes from a stranger when it is read, so each member is taken by name and type, and anything else is dropped.
 */

import { integerOf, listOf, member, members, numberOf, parseJson, textOf } from "./json.ts";
import {
  emptyRecipe,
  type FileReference,
  type LoraReference,
  type PictureCommand,
  type PictureRecipe,
  type SettingName,
  type Settings,
  settingKinds,
  settingNames,
} from "./recipe.ts";

export const ownKeyword = "limn";
const schema = "limn.picture/v1";
const commands: readonly PictureCommand[] = ["txt2img", "img2img", "inpaint"];
const files = ["model", "vae", "refiner", "upscaler", "init", "mask", "noise"] as const;
const lists = ["loras", "embeddings", "hypernetworks"] as const;

/** One line of JSON; integers are strings of digits. */
export function formatOwn(recipe: PictureRecipe): string {
  const { source: _, unknown: __, ...rest } = recipe;
  return JSON.stringify({ schema, ...rest }, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
}

/** The recipe in limn's own text; undefined where it is none of this version's. */
export function parseOwn(text: string): PictureRecipe | undefined {
  const json = parseJson(text);
  if (member(json, "schema") !== schema) return undefined;
  const command = commands.find((name) => name === member(json, "command"));
  if (command === undefined) return undefined;
  const made = member(json, "made");
  const known = ["schema", "generator", "command", "prompt", "negative", "settings", "made", ...files, ...lists];
  return {
    ...emptyRecipe("limn", textOf(member(json, "generator")) ?? "limn"),
    command,
    prompt: textOf(member(json, "prompt")) ?? "",
    negative: textOf(member(json, "negative")) ?? "",
    settings: settingsOf(member(json, "settings")),
    ...Object.fromEntries(files.map((name) => [name, fileOf(member(json, name))])),
    ...Object.fromEntries(lists.map((name) => [name, listOf(member(json, name)).flatMap(networkOf)])),
    made: {
      tier: textOf(member(made, "tier")) ?? "",
      precision: textOf(member(made, "precision")) ?? "",
      adapter: textOf(member(made, "adapter")) ?? "",
    },
    unknown: [
      ...members(json).flatMap(([name]) => (known.includes(name) ? [] : [name])),
      ...members(member(json, "settings")).flatMap(([name]) =>
        settingNames.includes(name as SettingName) ? [] : [`setting ${name}`],
      ),
    ],
  };
}

function settingsOf(json: unknown): Settings {
  const read = {
    number: numberOf,
    text: textOf,
    integer: integerOf,
    flag: (value: unknown) => (typeof value === "boolean" ? value : undefined),
  };
  const entries = settingNames.map((name) => [name, read[settingKinds[name]](member(json, name))] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function fileOf(json: unknown): FileReference | undefined {
  const name = textOf(member(json, "name"));
  const path = textOf(member(json, "path"));
  const hash = textOf(member(json, "hash"));
  if (name === undefined && path === undefined && hash === undefined) return undefined;
  const digits = hash !== undefined && /^[0-9a-f]{8,64}$/.test(hash) ? hash : undefined;
  return { name, path, hash: digits, hashed: member(json, "hashed") === "weights" ? "weights" : "file" };
}

function networkOf(json: unknown): LoraReference[] {
  const file = fileOf(json);
  const [textEncoder, unet] = [numberOf(member(json, "textEncoder")), numberOf(member(json, "unet"))];
  const shortHash = textOf(member(json, "shortHash"));
  return file ? [{ ...file, textEncoder, unet, ...(shortHash === undefined ? {} : { shortHash: shortHash.slice(0, 12) }) }] : [];
}
