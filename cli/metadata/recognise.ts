/** @file Which program's texts these are, and what they say. limn's own go first, as they leave nothing out. */

import { a1111Recipe } from "./a1111-recipe.ts";
import { comfyRecipe } from "./comfy-recipe.ts";
import { parseInfotext } from "./infotext.ts";
import { ownKeyword, parseOwn } from "./own-text.ts";
import type { PictureRecipe } from "./recipe.ts";
import { sdcppRecipe } from "./sdcpp-recipe.ts";

/**
 * The recipe, or undefined where none of the texts is one. A ComfyUI graph goes before a `parameters` text: nodes that write both
 * say in the second what A1111 would be told, not what ran.
 */
export function recipeOf(texts: ReadonlyMap<string, string>): PictureRecipe | undefined {
  const own = texts.get(ownKeyword);
  const graph = texts.get("prompt");
  const parameters = texts.get("parameters") ?? texts.get("comment");
  return (
    (own === undefined ? undefined : parseOwn(own)) ??
    (graph === undefined ? undefined : comfyRecipe(graph)) ??
    (parameters === undefined ? undefined : (sdcppRecipe(asUtf8(parameters)) ?? a1111Recipe(parseInfotext(parameters))))
  );
}

/** sd.cpp writes UTF-8 where a PNG's tEXt is Latin-1. */
function asUtf8(text: string): string {
  if (!/Version: stable-diffusion\.cpp/.test(text) || /[^\0-\xff]/.test(text)) return text;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.from(text, "latin1"));
  } catch {
    return text;
  }
}
