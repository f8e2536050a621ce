/** @file Row 75 of the fault catalogue, the command's part: a lost device is replaced once; after the second loss nothing is written. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test, vi } from "vitest";
import { run } from "../../cli/commands/txt2img.ts";
import { parseArguments } from "../../cli/syntax/arguments.ts";
import type { Txt2imgOptions } from "../../cli/syntax/options.ts";
import { embeddedModel, rejection } from "./picture.ts";

/** How many of the next devices are lost in the middle of a picture. */
const doom = { devices: 0 };

vi.mock(import("../../cli/gpu/device.ts"), async (importOriginal) => {
  const original = await importOriginal();
  return {
    ...original,
    openDevice: async (options) => {
      const opened = await original.openDevice(options);
      if (doom.devices-- <= 0) return opened;
      const { device } = opened;
      const replay = device.replay.bind(device);
      let replays = 0;
      device.replay = (commands) => {
        replay(commands);
        if (++replays === 4) device.gpu.destroy();
      };
      return opened;
    },
  };
});

// It finds package.json from where the built file lies.
vi.mock(import("../../cli/version.ts"), () => ({ packageVersion: "0" }));

const folder = mkdtempSync(join(tmpdir(), "limn-restart-"));
afterAll(() => rmSync(folder, { recursive: true }));

function makePicture(name: string, lost: number): Promise<void> {
  doom.devices = lost;
  const words = [
    "a red fox",
    "-W",
    "64",
    "-H",
    "64",
    "-s",
    "2",
    "--seed",
    "3",
    "-q",
    "-m",
    embeddedModel,
    "-o",
    join(folder, name),
  ];
  const { options } = parseArguments(words, "0") as { options: Txt2imgOptions };
  return run(options, { signal: new AbortController().signal });
}

test("lost once: the same picture, from a new device", async () => {
  await makePicture("undisturbed.png", 0);
  await makePicture("restarted.png", 1);
  const [undisturbed, restarted] = ["undisturbed.png", "restarted.png"].map((name) => readFileSync(join(folder, name)));
  expect(Buffer.compare(restarted!, undisturbed!)).toBe(0);
});

test("lost again: DEVICE_LOST, and no file", async () => {
  const error = await rejection(makePicture("lost.png", 2));
  expect(error.code).toBe("DEVICE_LOST");
  expect(existsSync(join(folder, "lost.png"))).toBe(false);
});
