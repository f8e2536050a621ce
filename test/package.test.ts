/** @file The package as others install it: what is in it, and the library under its own name. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { build, root } from "./cli/limn.ts";

interface Manifest {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: { readonly ".": Readonly<Record<string, string>> };
}

const manifest: Manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** The README's example in Node: its GPU object is Dawn's, and none of WebGPU's globals is there. */
const example = `
  import { openAsBlob } from "node:fs";
  import { create } from "webgpu";
  import { BlobSource, Device, StableDiffusion } from "limn";
  const device = await Device.create(create([]));
  const file = new BlobSource(await openAsBlob("checkpoints/limn-emoji.safetensors"), "limn-emoji.safetensors");
  const size = { width: 64, height: 64 };
  const model = await StableDiffusion.load(file, { device, picture: size });
  const picture = model.generate("a red fox", { ...size, steps: 1, seed: 3n });
  let next = await picture.next();
  while (!next.done) next = await picture.next();
  model.free();
  const { pixels, width, height } = next.value;
  console.log(JSON.stringify([pixels.length, width, height, new Set(pixels).size > 50, typeof GPUBufferUsage]));
  process.exit();
`;

describe("the package", () => {
  beforeAll(build);

  it("has what its manifest names, the checkpoint and the pages, and no marks of this machine", () => {
    const npm = process.env["npm_execpath"];
    const args = ["pack", "--dry-run", "--json", "--ignore-scripts"];
    const [command, words] = npm?.endsWith("js") ? [process.execPath, [npm, ...args]] : ["npm", args];
    const done = spawnSync(command, words, { cwd: root, encoding: "utf8", shell: process.platform === "win32" });
    expect(done.status, done.stderr).toBe(0);
    const [{ files }] = JSON.parse(done.stdout) as [{ files: { path: string }[] }];
    const paths = new Set(files.map(({ path }) => path));
    const named = [...Object.values(manifest.bin), ...Object.values(manifest.exports["."])].map((path) => path.replace("./", ""));
    for (const path of [
      ...named,
      "checkpoints/limn-emoji.safetensors",
      "README.md",
      "LICENSE",
      "docs/errors.md",
      "tokenizer/NOTICE",
    ])
      expect([...paths], path).toContain(path);
    expect([...paths].filter((path) => /^(test|bench|scripts|node_modules|dist\/bench)\/|\/\.|\.tmp-/.test(path))).toEqual([]);
    // Compiled files lead back to their sources.
    const compiled = [...paths].filter((path) => path.endsWith(".js.map"));
    expect(compiled.filter((path) => !paths.has(path.replace(/^dist\/(.*)\.js\.map$/, "$1.ts")))).toEqual([]);
    expect([...paths].every((path) => existsSync(join(root, path)))).toBe(true);
  });

  it("makes a picture as a library in Node, without WebGPU's globals", () => {
    const done = spawnSync(process.execPath, ["--input-type=module", "--eval", example], { cwd: root, encoding: "utf8" });
    expect(done.status, done.stderr).toBe(0);
    expect(JSON.parse(done.stdout.trim().split("\n").at(-1)!)).toEqual([64 * 64 * 4, 64, 64, true, "undefined"]);
  });
});
