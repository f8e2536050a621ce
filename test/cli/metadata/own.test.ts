import { describe, expect, it } from "vitest";
import { formatOwn, parseOwn } from "../../../cli/metadata/own-text.ts";
import { emptyRecipe, type PictureRecipe, type Settings, settingKinds, settingNames } from "../../../cli/metadata/recipe.ts";
import { settingFlags } from "../../../cli/metadata/to-arguments.ts";
import { inpaintSyntax } from "../../../cli/syntax/from-picture.ts";

const hash = "6ce0161689b3853acaa03779ec93eafe75a02f4ced659bee03f50797806fa2fa";
const samples = { number: 0.1 + 0.2, text: 'a "b", c: \u{1f98a}\n', integer: 18446744073709551615n, flag: true };
const recipe: PictureRecipe = {
  ...emptyRecipe("limn", "limn 0.1.0"),
  command: "inpaint",
  prompt: "a\n[b:c:0.5] \u{1f98a} </script>",
  negative: "]",
  // Every setting that there is: a new one is covered without a change here.
  settings: Object.fromEntries(settingNames.map((name) => [name, samples[settingKinds[name]]])) as Settings,
  model: { name: "a.safetensors", hash, hashed: "file" },
  vae: { name: "v.safetensors", hash, hashed: "file" },
  refiner: { name: "r.safetensors", hash, hashed: "file" },
  upscaler: { name: "x4.pth", hash, hashed: "file" },
  init: { name: "i.png", path: "in/i.png", hash, hashed: "file" },
  mask: { name: "m.png", path: "m.png", hash, hashed: "file" },
  noise: { name: "n.safetensors", path: "n.safetensors", hash, hashed: "file" },
  loras: [{ name: "l.safetensors", hash, hashed: "weights", textEncoder: 0.5, unet: -1 }],
  embeddings: [{ name: "e.pt", hash, hashed: "file" }],
  hypernetworks: [{ name: "h.pt", hash, hashed: "file", textEncoder: 1, unet: 1 }],
  made: { tier: "software", precision: "f32", adapter: "llvmpipe" },
};

describe("limn's own text", () => {
  it("gives back every field exactly", () => {
    expect(parseOwn(formatOwn(recipe))).toEqual(recipe);
  });

  it("drops what has another type, and names what it does not know", () => {
    const text = formatOwn(recipe)
      .replace('"settings":{', '"settings":{"steps":{"a":1},"warp":9,"tiling":"yes",')
      .replace("{", '{"extra":1,');
    const { settings, unknown } = parseOwn(text.replace(/"steps":0\.3\d+,/, "").replace('"tiling":true,', ""))!;
    expect(settings.steps).toBeUndefined();
    expect(settings.tiling).toBeUndefined();
    expect(unknown).toEqual(["extra", "setting warp"]);
  });

  it("reads no other schema and no command of other kinds", () => {
    expect(parseOwn(formatOwn(recipe).replace("picture/v1", "picture/v2"))).toBeUndefined();
    expect(parseOwn(formatOwn(recipe).replace('"inpaint"', '"rm"'))).toBeUndefined();
    expect(parseOwn("{")).toBeUndefined();
    expect(parseOwn("[]")).toBeUndefined();
  });

  it("takes nothing from a prototype, and changes none", () => {
    const hostile =
      '{"schema":"limn.picture/v1","command":"txt2img","__proto__":{"prompt":"p"},"settings":{"__proto__":{"steps":3}}}';
    const read = parseOwn(hostile)!;
    expect(read.prompt).toBe("");
    expect(read.settings.steps).toBeUndefined();
    expect(({} as Record<string, unknown>)["prompt"]).toBeUndefined();
    expect(parseOwn('{"schema":"limn.picture/v1","command":"constructor"}')).toBeUndefined();
  });
});

/** The prompts, the files, and what makes no difference to the pixels of one picture. */
const others = {
  prompts: "prompt negative prompts style styles-file",
  files: "model vae refiner init mask noise lora lora-dir embedding-dir hypernet hypernet-dir",
  recorded: "tier precision",
  sameThing: "vae-tiling",
  output: "output overwrite save-latent json quiet verbose debug preview preview-every preview-terminal preview-file",
  machine: "adapter require-gpu limit-binding max-header strict allow-nonfinite count low-memory",
};

it("leaves no option out that changes a picture", () => {
  const { command } = inpaintSyntax();
  const known = [
    ...Object.values(settingFlags),
    ...Object.values(others).flatMap((names) => names.split(" ").map((name) => `--${name}`)),
  ];
  const options = command.options.map(({ long }) => long?.replace(/^--no-/, "--"));
  expect(
    options.filter((long) => !known.includes(long)),
    "a new option: does it change a picture?",
  ).toEqual([]);
  // And the recipe has none that there isn't.
  expect(Object.values(settingFlags).filter((flag) => flag !== undefined && !options.includes(flag))).toEqual([]);
});
