/**
 * @file Rows 74, 75, 77 and 78 of the fault catalogue: the ways in which a GPU may let us down, at moments spread over load and
 * picture. LIMN_TEST_FAULTS sets how many moments (default 4).
 */
import { describe, expect, test } from "vitest";
import { exitCodeOf, exitCodes } from "../../cli/terminal/exit-codes.ts";
import { type Device, DeviceError, type LimnError, OutOfMemoryError, ShaderError } from "../../engine/index.ts";
import { type Call, type Intercept, interceptedDevice, loadSmall, picture } from "./picture.ts";

const moments = Number(process.env["LIMN_TEST_FAULTS"] ?? 4);

interface Outcome {
  readonly error: LimnError | undefined;
  readonly pixels: Uint8Array | undefined;
  readonly warnings: readonly string[];
}

/** Load and picture on a device whose calls `intercept` sees. However it ends, nothing may be left. */
async function run(intercept: Intercept): Promise<Outcome> {
  let device: Device | undefined;
  const outcome: { -readonly [K in keyof Outcome]: Outcome[K] } = { error: undefined, pixels: undefined, warnings: [] };
  try {
    device = await interceptedDevice(intercept, { precision: "f32" });
    const model = await loadSmall(device);
    try {
      const { pixels, warnings } = await picture(model);
      Object.assign(outcome, { pixels, warnings });
    } finally {
      model.free();
    }
  } catch (error) {
    outcome.error = error as LimnError;
  }
  if (device) {
    expect(device.memory.liveBytes, "live bytes at the end").toBe(0);
    expect(device.activationBytes, "activations at the end").toBe(0);
    device.close();
  }
  return outcome;
}

/**
 * The same with a fault at call `moment`: `fault` tells whether it strikes at a call, and what that gives. How the weights get to the device depends on
 * how quick its queue is, so a run may have a few calls less than another: where a late moment never came, an earlier one is taken.
 */
async function runWith(
  moment: number,
  fault: (call: Call, moment: number) => { readonly give: () => object | undefined } | undefined,
): Promise<Outcome & { readonly at: number }> {
  for (let at = moment; at >= 0; at -= 10) {
    let hasStruck = false;
    const outcome = await run((call) => {
      const struck = fault(call, at);
      hasStruck ||= struck !== undefined;
      return struck?.give();
    });
    if (hasStruck) return { ...outcome, at };
  }
  throw new Error(`no fault at any call up to ${moment}`);
}

/** How often each call happens from the device's start to the picture's end, and the picture. */
const census = (async () => {
  const calls: string[] = [];
  const { pixels, error } = await run(({ name }) => {
    calls.push(name);
    return undefined;
  });
  if (!pixels) throw error;
  return { calls, pixels };
})();

/** Places of calls with this name, `count` of them from the first to the last. */
async function someOf(name: string | undefined, count = moments): Promise<number[]> {
  const { calls } = await census;
  const places = [...calls.keys()].filter((place) => name === undefined || calls[place] === name);
  const chosen = Array.from({ length: count }, (_, i) => places[Math.round((i * (places.length - 1)) / Math.max(1, count - 1))]!);
  return [...new Set(chosen)];
}

describe("the device is lost (75)", () => {
  test("at any call: DEVICE_LOST, exit 7, no picture, nothing left", async () => {
    const { calls } = await census;
    for (const moment of [...(await someOf(undefined)), ...(await someOf("queue.submit", 3))]) {
      const { error, pixels, at } = await runWith(moment, ({ index, real }, moment) => {
        if (index !== moment) return undefined;
        return {
          give: () => {
            real.destroy();
            return undefined;
          },
        };
      });
      const where = `lost at call ${at} of ${calls.length}, ${calls[moment]}: ${error}`;
      expect(pixels !== undefined, where).toBe(false);
      expect(error, where).toBeInstanceOf(DeviceError);
      expect(error, where).toMatchObject({ code: "DEVICE_LOST", hint: expect.any(String) });
      expect(exitCodeOf(error)).toBe(exitCodes.device);
    }
  });
});

describe("memory runs out (74)", () => {
  /** What Dawn does: the buffer can't be used, and an error that nobody awaits says why. */
  const onTheGpu = ({ real, args, report }: Call): GPUBuffer => {
    report(new GPUOutOfMemoryError("injected"));
    const { size } = args[0] as GPUBufferDescriptor;
    return real.createBuffer({ size, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
  };
  const onTheHost = (): never => {
    throw new RangeError("injected");
  };

  describe.each([
    ["the GPU", onTheGpu],
    ["the host", onTheHost],
  ])("of %s", (_, fail) => {
    test("once, at any buffer: the picture is made all the same", async () => {
      const { pixels: expected } = await census;
      for (const moment of (await someOf("createBuffer")).slice(2)) {
        let isFirst = true;
        const { error, pixels } = await runWith(moment, (call, moment) => {
          if (!isFirst || call.name !== "createBuffer" || call.index < moment) return undefined;
          isFirst = false;
          return { give: () => fail(call) };
        });
        expect(error, `at call ${moment}`).toBeUndefined();
        expect(Buffer.compare(pixels!, expected), `at call ${moment}`).toBe(0);
      }
    });

    test("and stays so: GPU_OUT_OF_MEMORY, exit 6, with the bytes in use", async () => {
      for (const moment of await someOf("createBuffer")) {
        const { error, pixels, at } = await runWith(moment, (call, moment) =>
          call.name === "createBuffer" && call.index >= moment ? { give: () => fail(call) } : undefined,
        );
        const where = `from call ${at}: ${error}`;
        expect(pixels !== undefined, where).toBe(false);
        expect(error, where).toBeInstanceOf(OutOfMemoryError);
        expect(error, where).toMatchObject({ code: "GPU_OUT_OF_MEMORY", hint: expect.any(String) });
        expect(error!.context["liveBytes"]).toEqual(expect.any(Number));
        expect(exitCodeOf(error)).toBe(exitCodes.memory);
      }
    });
  });
});

describe("the driver refuses a shader (77)", () => {
  /** A driver that stumbles over every module of which this is true. */
  const refusing =
    (isRefused: (kernel: string) => boolean): Intercept =>
    ({ name, args, real }) => {
      const descriptor = args[0] as GPUShaderModuleDescriptor | undefined;
      if (name !== "createShaderModule" || !isRefused(descriptor?.label ?? "")) return undefined;
      return real.createShaderModule({ ...descriptor!, code: descriptor!.code.replace("fn main(", "fn main((") });
    };

  // The first is compiled while the weights load; the second has no other rung, and is first launched in the middle of a picture.
  test.each(["group-norm", "combine"])("%s, all rungs: SHADER with kernel, line and adapter, exit 1", async (kernel) => {
    const { error, pixels } = await run(refusing((label) => label.startsWith(kernel)));
    expect(pixels !== undefined).toBe(false);
    expect(error).toBeInstanceOf(ShaderError);
    expect(error!.message).toMatch(new RegExp(`^kernel ${kernel}.* on .+: line \\d+: .+`));
    expect(error!.hint).toContain("fn main(");
    expect(exitCodeOf(error)).toBe(exitCodes.bug);
  });

  test("but knows a slower one: the same picture, with a warning", async () => {
    const { pixels: expected } = await census;
    const refused = ["conv2d/software", "group-norm/software", "layer-norm/software"];
    const { error, pixels, warnings } = await run(refusing((label) => refused.includes(label)));
    expect(error).toBeUndefined();
    expect(Math.max(...pixels!.map((value, i) => Math.abs(value - expected[i]!)))).toBeLessThanOrEqual(1);
    for (const kernel of refused) expect(warnings).toContain(`the driver refuses kernel ${kernel}: a slower one takes its place`);
  });

  test("in the middle of a run, where a picture needs another variant: it is made all the same", async () => {
    let isLate = false;
    const device = await interceptedDevice(
      refusing((label) => isLate && label === "conv2d/software"),
      { precision: "f32" },
    );
    const model = await loadSmall(device);
    isLate = true;
    const { warnings } = await picture(model, { tiling: true, steps: 1 }); // maps that go round
    expect(warnings.join()).toContain("conv2d/software");
    model.free();
    expect(device.memory.liveBytes).toBe(0);
    device.close();
  });
});

describe("an error that nobody awaits (78)", () => {
  test("at any submit, the last one too: GPU_ERROR, exit 7, no picture", async () => {
    for (const moment of await someOf("queue.submit")) {
      let printed: boolean | undefined;
      let isFirst = true;
      // An error within a scope has its taker: the engine's own dispatches of nothing are submitted in one.
      let scopes = 0;
      const { error, pixels, at } = await runWith(moment, ({ name, index, real }, moment) => {
        if (name === "pushErrorScope") scopes++;
        if (name === "popErrorScope") scopes--;
        if (!isFirst || scopes > 0 || name !== "queue.submit" || index < moment) return undefined;
        isFirst = false;
        return {
          give: () => {
            real.addEventListener("uncapturederror", (event) => {
              printed = !event.defaultPrevented;
            });
            real.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.STORAGE });
            return undefined;
          },
        };
      });
      expect(pixels !== undefined, `at call ${at}`).toBe(false);
      expect(error).toBeInstanceOf(DeviceError);
      expect(error!.code).toBe("GPU_ERROR");
      expect(exitCodeOf(error)).toBe(exitCodes.device);
      expect(printed, "Dawn prints what is not prevented").toBe(false);
    }
  });
});
