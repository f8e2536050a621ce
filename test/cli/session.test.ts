import { expect, it, vi } from "vitest";
import { Session } from "../../cli/pictures/session.ts";

// It looks for the manifest from dist/cli.
vi.mock("../../cli/version.ts", () => ({ packageVersion: "0.0.0" }));

const machine = { quiet: true, verbose: false, requireGpu: false, precision: "auto" } as const;

it.each([
  [true, "kept"],
  [false, "destroyed"],
])(
  "interrupted %j: the device is %s when the session ends, as destroying waits for what was submitted (fault 64)",
  async (interrupted, fate) => {
    const controller = new AbortController();
    const session = new Session(machine, { signal: controller.signal });
    const opened = await session.onDevice(async (device) => device);
    if (interrupted) controller.abort();
    await session.close();
    // What is destroyed says so in its time, also on a busy machine; what is kept says nothing.
    const kept = new Promise((resolve) => setTimeout(resolve, interrupted ? 200 : 20_000, "kept").unref());
    expect(await Promise.race([kept, opened.device.gpu.lost.then(() => "destroyed")])).toBe(fate);
    if (interrupted) opened.close();
  },
);
