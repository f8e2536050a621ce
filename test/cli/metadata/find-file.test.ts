import { createHash } from "node:crypto";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { findFile, matches } from "../../../cli/metadata/find-file.ts";
import { namedFolder } from "../../../cli/metadata/named-folder.ts";
import { fileHash } from "../../../cli/models/model-hash.ts";
import { addonBytes, random } from "../../addons/small-model.ts";
import { temporaryFolder } from "../limn.ts";

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
vi.stubEnv("XDG_CACHE_HOME", at("cache"));
const sha = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

const large = Buffer.alloc(0x120000, "limn");
const lora = addonBytes({ "a.weight": random(4, 4) }, { sshs_model_hash: "ABCDEF" });
const stated = addonBytes({ "a.weight": random(4, 4) }, { sshs_model_hash: "fedcba9876543210" });

beforeAll(() => {
  for (const name of ["models/sd", "models/.hidden"]) mkdirSync(at(name), { recursive: true });
  writeFileSync(at("models/sd/sd15.safetensors"), large);
  writeFileSync(at("models/sd/style.safetensors"), lora);
  writeFileSync(at("models/sd/stated.safetensors"), stated);
  writeFileSync(at("models/.hidden/secret.safetensors"), "hidden");
  writeFileSync(at("models/notes.txt"), "notes");
  symlinkSync(folder, at("models/sd/circle"));
});

const search = { kind: "model", folders: [at("models")], option: "--model-dir", note: () => undefined };

describe("the file that a picture names", () => {
  it("is found by name and hash: whole, A1111's ten digits, its old hash, a LoRA's", async () => {
    const found = { path: at("models/sd/sd15.safetensors"), proved: true };
    expect(await findFile({ name: "sd15.safetensors", hash: sha(large), hashed: "file" }, search)).toEqual(found);
    expect(await findFile({ name: "sd15", hash: sha(large).slice(0, 10), hashed: "file" }, search)).toEqual(found);
    expect(await findFile({ hash: sha(large.subarray(0x100000, 0x110000)).slice(0, 8), hashed: "part" }, search)).toEqual(found);
    const weights = lora.subarray(8 + Number(Buffer.from(lora).readBigUInt64LE(0)));
    const style = { path: at("models/sd/style.safetensors"), proved: true };
    expect(await findFile({ name: "style", hash: sha(weights).slice(0, 12), hashed: "weights" }, search)).toEqual(style);
    // The hash that the file itself states, which A1111 believes.
    const own = { path: at("models/sd/stated.safetensors"), proved: true };
    expect(await findFile({ name: "x", hash: "fedcba987654", hashed: "weights" }, search)).toEqual(own);
  });

  it("is another one where only the name is right", async () => {
    await expect(findFile({ name: "sd15", hash: "0".repeat(10), hashed: "file" }, search)).rejects.toMatchObject({
      code: "REPRODUCE_FILE",
      message: expect.stringMatching(/sd15, SHA-256 0000000000.*not in .*models; a file of that name had another hash/),
      context: { sameName: 1 },
    });
  });

  it("is taken by its name where there is no hash, and said to be", async () => {
    expect(await findFile({ name: "SD15" }, search)).toEqual({ path: at("models/sd/sd15.safetensors"), proved: false });
    await expect(findFile({ name: "../sd/sd15" }, { ...search, folders: [at("models/.hidden")] })).rejects.toMatchObject({
      code: "REPRODUCE_FILE",
    });
  });

  it("is not looked for in hidden folders, nor among other kinds of files", async () => {
    for (const text of ["hidden", "notes"]) {
      await expect(findFile({ hash: sha(Buffer.from(text)), hashed: "file" }, search)).rejects.toMatchObject({
        code: "REPRODUCE_FILE",
      });
    }
  });

  it("is hashed again when it has changed, also within one tick of the clock", async () => {
    writeFileSync(at("one.pt"), "first");
    writeFileSync(at("two.pt"), "other");
    expect(await fileHash(at("one.pt"), "file")).toBe(sha(Buffer.from("first")));
    renameSync(at("two.pt"), at("one.pt"));
    expect(await matches(at("one.pt"), { hash: sha(Buffer.from("other")), hashed: "file" })).toBe(true);
    expect(await fileHash("/dev/zero", "file")).toBeUndefined();
  });
});

describe("a folder of the networks that a prompt names", () => {
  it("has them under those names, and goes again", async () => {
    const made = await namedFolder([{ name: "my style", path: at("models/sd/style.safetensors") }]);
    expect(await fileHash(join(made.path, "my style.safetensors"), "file")).toBe(sha(lora));
    await made.remove();
    expect(await fileHash(join(made.path, "my style.safetensors"), "file")).toBeUndefined();
    expect(await fileHash(at("models/sd/style.safetensors"), "file")).toBe(sha(lora));
  });

  it.each(["../x", "a/b", "a\\b", "", ".x", "~x", "a:b", "a\0b", "x".repeat(300)])(
    "takes no path for a name: %j",
    async (name) => {
      await expect(namedFolder([{ name, path: at("models/sd/style.safetensors") }])).rejects.toMatchObject({
        code: "REPRODUCE_NAME",
      });
    },
  );
});
