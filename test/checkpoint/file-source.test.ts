import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFile } from "../../cli/files/file-source.ts";
import { FileSystemError } from "../../engine/errors.ts";
import { BlobSource, MemorySource } from "../../model/checkpoint/byte-source.ts";
import { openSafetensors } from "../../model/checkpoint/safetensors.ts";
import { readValues } from "../../model/checkpoint/values.ts";
import { skipped } from "../skip.ts";
import { fileBytes } from "./build-file.ts";

const onWindows = skipped("named pipes, devices and links", process.platform === "win32" && "not on Windows");

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "limn-files-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refusal(path: string): Promise<FileSystemError> {
  const error = await openFile(path).then(
    (source) => source.close(),
    (reason: unknown) => reason,
  );
  if (!(error instanceof FileSystemError)) throw new Error(`expected a FileSystemError, got ${String(error)}`);
  return error;
}

describe("rows 1 and 24: what is no regular file", () => {
  test("a missing file shows its absolute path and near names", async () => {
    writeFileSync(join(folder, "dreamer.safetensors"), "");
    const error = await refusal(join(folder, "dreamr.safetensors"));
    expect(error.code).toBe("FS_NOT_FOUND");
    expect(error.message).toContain(join(folder, "dreamr.safetensors"));
    expect(error.hint).toContain(join(folder, "dreamer.safetensors"));
    expect((await refusal("no-such-file-here")).message).toContain(join(process.cwd(), "no-such-file-here"));
  });
  test("a folder names the models in it", async () => {
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "sub", "a.safetensors"), "");
    const error = await refusal(join(folder, "sub"));
    expect([error.code, error.hint]).toEqual(["FS_NOT_A_FILE", "pass a file in it: a.safetensors"]);
  });
  test.skipIf(onWindows)("a named pipe does not block", async () => {
    const path = join(folder, "pipe");
    execFileSync("mkfifo", [path]);
    const error = await refusal(path);
    expect([error.code, error.message]).toEqual(["FS_NOT_A_FILE", expect.stringContaining("a named pipe")]);
  });
  test.skipIf(onWindows)("a device", async () => {
    expect((await refusal("/dev/zero")).code).toBe("FS_NOT_A_FILE");
  });
  test.skipIf(onWindows)("links that lead round, and one that leads to a file", async () => {
    symlinkSync(join(folder, "round-b"), join(folder, "round-a"));
    symlinkSync(join(folder, "round-a"), join(folder, "round-b"));
    expect((await refusal(join(folder, "round-a"))).code).toBe("FS_SYMLINK_LOOP");
    writeFileSync(join(folder, "real"), "12345678");
    symlinkSync(join(folder, "real"), join(folder, "link"));
    const source = await openFile(join(folder, "link"));
    expect(source.size).toBe(8);
    await source.close();
    symlinkSync(join(folder, "not-there"), join(folder, "dangling"));
    const dangling = await refusal(join(folder, "dangling"));
    expect([dangling.code, dangling.hint]).toEqual(["FS_NOT_FOUND", "check the path"]); // not its own name
  });
  test.each([["a\0b"], ["x".repeat(5000)], [""]])("%.10j", async (path) => {
    expect(["FS_NOT_FOUND", "FS_NOT_A_FILE"]).toContain((await refusal(path)).code);
  });
  test("a file as a folder", async () => {
    writeFileSync(join(folder, "plain"), "");
    expect((await refusal(join(folder, "plain", "x"))).code).toBe("FS_NOT_FOUND");
  });
});

describe("row 23: a file that changes", () => {
  test("is noticed by size and by time", async () => {
    const path = join(folder, "changing");
    writeFileSync(path, "0123456789");
    const source = await openFile(path);
    expect(await source.unchanged()).toBe(true);
    utimesSync(path, new Date(0), new Date(0));
    expect(await source.unchanged()).toBe(false);
    truncateSync(path, 4);
    await expect(source.read(0, 10)).rejects.toMatchObject({ code: "CHECKPOINT_CHANGED" });
    await source.close();
  });
});

test("row 25: 8 GiB, read by range", async () => {
  const path = join(folder, "large.safetensors");
  const half = 4 * 1024 ** 3 + 2;
  const header = JSON.stringify({
    first: { dtype: "U8", shape: [half], data_offsets: [0, half] },
    second: { dtype: "U8", shape: [half], data_offsets: [half, 2 * half] },
    last: { dtype: "F32", shape: [2], data_offsets: [2 * half, 2 * half + 8] },
  });
  const start = fileBytes(header);
  const size = start.length + 2 * half + 8;
  const descriptor = openSync(path, "w");
  writeSync(descriptor, start);
  // Sparse: only the ends take room on the disk.
  writeSync(descriptor, new Uint8Array(Float32Array.of(1.5, -2).buffer), 0, 8, size - 8);
  const source = await openFile(path);
  const file = await openSafetensors(source);
  expect(source.size).toBe(size);
  expect(file.tensors.get("second")?.end).toBe(size - 8);
  expect([...(await readValues(file, "last"))]).toEqual([1.5, -2]);
  await source.close();
  truncateSync(path, 5e9);
  const cut = await openFile(path);
  await expect(openSafetensors(cut)).rejects.toMatchObject({
    code: "ST_TRUNCATED",
    message: expect.stringContaining("5.00 of 8.59 GB"),
  });
  await cut.close();
});

test("a Blob and memory give the same bytes as a file", async () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
  writeFileSync(join(folder, "bytes"), bytes);
  const file = await openFile(join(folder, "bytes"));
  for (const source of [file, new BlobSource(new Blob([bytes]), "blob"), new MemorySource(bytes)]) {
    expect(source.size).toBe(100);
    expect([...(await source.read(7, 11))]).toEqual([7, 8, 9, 10]);
    expect((await source.read(5, 5)).length).toBe(0);
    await expect(source.read(90, 101)).rejects.toThrow(RangeError);
    await expect(source.read(-1, 5)).rejects.toThrow(RangeError);
    await expect(source.read(5, 4)).rejects.toThrow(RangeError);
  }
  await file.close();
});
