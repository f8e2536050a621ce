/** @file Writes the WGSL module of a kernel's variant: a preamble of declarations, the snippets, then the body untouched. */
import type { DType } from "./dtype.ts";
import type { BufferDetails, KernelSpec, Snippet, Variant } from "./kernel.ts";

export const defaultWorkgroupSize = 64;

const scalarTypes = new Set(["f32", "u32", "f16", "atomic<u32>"]);

export function writeModule(spec: KernelSpec, variant: Variant): string {
  const aliases = aliasTypes(spec, variant.types);
  const usesF16 =
    spec.features?.includes("f16") ||
    Object.values(aliases).includes("f16") ||
    Object.values(spec.buffers).some((b) => typeof b !== "string" && b.type === "f16");
  const extensions = [...(usesF16 ? ["f16"] : []), ...(spec.features ?? []).filter((feature) => feature !== "f16")];
  const lines = [
    ...extensions.map((name) => `enable ${name};`),
    ...(extensions.includes("chromium_experimental_subgroup_matrix")
      ? ["diagnostic(off, chromium.subgroup_matrix_uniformity);"]
      : []),
    ...(extensions.includes("subgroups") ? ["diagnostic(off, subgroup_uniformity);"] : []),
    ...Object.entries(aliases).flatMap(([alias, dtype]) => [
      `alias ${alias} = ${dtype};`,
      `alias ${alias}2 = vec2<${dtype}>;`,
      `alias ${alias}4 = vec4<${dtype}>;`,
    ]),
    ...Object.entries({ ...spec.flags }).map(([name, value]) => `const ${name} = ${variant.flags?.[name] ?? value};`),
    ...Object.entries({ WORKGROUP_SIZE: defaultWorkgroupSize, ...spec.tunables }).map(
      ([name, value]) => `const ${name} = ${variant.tunables?.[name] ?? value}u;`,
    ),
    ...uniformStruct(spec),
    ...Object.entries(spec.buffers).map(([name, buffer], i) =>
      bindingLine(name, typeof buffer === "string" ? { access: buffer } : buffer, i),
    ),
    ...(hasUniforms(spec) ? [`@group(0) @binding(${Object.keys(spec.buffers).length}) var<uniform> uniforms: Uniforms;`] : []),
  ];
  const snippets = inOrder(spec.snippets ?? []).map((snippet) => dedent(snippet.wgsl));
  return `${[lines.join("\n"), ...snippets, dedent(spec.wgsl)].join("\n\n")}\n`;
}

export function hasUniforms(spec: KernelSpec): boolean {
  return Object.keys(spec.uniforms ?? {}).length > 0;
}

/** Every alias the buffers name; one that no bound tensor decides (an optional buffer left out) follows Element, else f32. */
function aliasTypes(spec: KernelSpec, types: Readonly<Record<string, DType>>): Record<string, DType> {
  const aliases: Record<string, DType> = {};
  for (const buffer of Object.values(spec.buffers)) {
    const type = typeof buffer === "string" ? "Element" : (buffer.type ?? "Element");
    if (!scalarTypes.has(type)) aliases[type] = types[type] ?? types["Element"] ?? "f32";
  }
  return aliases;
}

function uniformStruct(spec: KernelSpec): string[] {
  if (!hasUniforms(spec)) return [];
  return [
    `struct Uniforms { ${Object.entries(spec.uniforms ?? {})
      .map(([name, type]) => `${name}: ${type}`)
      .join(", ")} }`,
  ];
}

function bindingLine(name: string, buffer: BufferDetails, binding: number): string {
  const type = buffer.type ?? "Element";
  const element = buffer.vec === undefined ? type : scalarTypes.has(type) ? `vec${buffer.vec}<${type}>` : `${type}${buffer.vec}`;
  // WGSL knows no write-only storage buffer.
  const access = buffer.access === "read" ? "read" : "read_write";
  return `@group(0) @binding(${binding}) var<storage, ${access}> ${name}: array<${element}>;`;
}

/** Snippets with what they need before them, each once. */
function inOrder(snippets: readonly Snippet[], seen = new Set<string>()): Snippet[] {
  return snippets.flatMap((snippet) => {
    if (seen.has(snippet.name)) return [];
    seen.add(snippet.name);
    return [...inOrder(snippet.needs ?? [], seen), snippet];
  });
}

/** Takes the common indentation away, so that a printed module reads as if written by hand. */
function dedent(text: string): string {
  const lines = text.replace(/^\n+/, "").trimEnd().split("\n");
  const indent = Math.min(...lines.filter((line) => line.trim() !== "").map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(Math.min(indent, line.length - line.trimStart().length))).join("\n");
}
