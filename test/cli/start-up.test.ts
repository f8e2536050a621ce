import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "./limn.ts";

/** Every file that is loaded before a command is: imports of types are none. */
function loadedBy(first: string): Set<string> {
  const loaded = new Set<string>();
  const waiting = [first];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (loaded.has(file)) continue;
    loaded.add(file);
    const text = readFileSync(join(root, file), "utf8");
    for (const [, names = "", target = ""] of text.matchAll(/^(?:import|export) (?!type\b)([^;"]*?) ?from "(\.[^"]+)";/gm)) {
      const values = names.replace(/[{}]/g, "").split(",");
      if (values.every((name) => /^\s*(type .*)?$/s.test(name))) continue;
      waiting.push(relative(root, join(root, dirname(file), target)));
    }
  }
  return loaded;
}

describe("start-up", () => {
  const loaded = loadedBy("cli/main.ts");

  it("of --version and usage errors loads no kernel, no engine and no PNG", () => {
    const heavy = [...loaded].filter((file) =>
      /^(kernels|tokenizer|cli\/(png|commands|gpu))\/|^engine\/(index|device)/.test(file),
    );
    expect(heavy).toEqual([]);
    expect(loaded).toContain("cli/syntax/sampling.ts");
  });

  it("loads fewer than 80 files", () => {
    expect(loaded.size).toBeLessThan(80);
  });
});
