import { afterEach, beforeEach, describe, expect, it, test, vi } from "vitest";
import { create, globals } from "webgpu";
import { Device, defineKernel, perElement } from "../../engine/index.ts";
import { type Warmer, WarmUp, type WarmUpJob } from "../../engine/warm-up.ts";

/** A kernel whose module has about `length` characters. */
const jobOf = (length: number): WarmUpJob => ({
  kernel: defineKernel({ name: `kernel ${length}`, buffers: {}, wgsl: `//${"-".repeat(length)}` }),
  variant: { types: {} },
});

/** Devices that take `millis` for a pipeline, and 5 for one that lies in the cache, which they share. */
class Driver {
  /** "main 300": what was compiled, and where. */
  readonly log: string[] = [];
  readonly #cache: Set<string> | null;
  opened = 0;
  closed = 0;
  readonly #millis: number;

  constructor(millis: number, cache: Set<string> | null = new Set()) {
    this.#millis = millis;
    this.#cache = cache;
  }

  device(place: string): Warmer {
    return {
      warm: async ({ kernel }) => {
        const found = this.#cache?.has(kernel.name);
        this.log.push(`${place}${found ? " finds" : ""} ${kernel.name.slice(7)}`);
        await new Promise((resolve) => setTimeout(resolve, found ? 5 : this.#millis));
        this.#cache?.add(kernel.name);
      },
      close: () => void this.closed++,
    };
  }

  readonly openHelper = async (): Promise<Warmer> => {
    this.opened++;
    return this.device("helper");
  };
}

describe("with a clock", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** Milliseconds until all of them are done. */
  async function timeOf(warmUp: WarmUp, lengths: readonly number[]): Promise<number> {
    const start = performance.now();
    let end = Number.NaN;
    for (const length of lengths) warmUp.add(jobOf(length), Promise.resolve());
    void warmUp.done().then(() => {
      end = performance.now();
    });
    await vi.runAllTimersAsync();
    return end - start;
  }

  it("leaves it at the longest pipeline where the driver's cache is filled", async () => {
    const driver = new Driver(1000, new Set(["kernel 300", "kernel 200"]));
    expect(await timeOf(new WarmUp(driver.device("main"), driver.openHelper), [200, 300])).toBeLessThan(50);
    expect(driver.log).toEqual(["main finds 300"]);
    expect(driver.opened).toBe(0);
  });

  it("shares out the pipelines where it is empty, the longest first, and the main device then finds the helper's", async () => {
    const driver = new Driver(1000);
    const millis = await timeOf(new WarmUp(driver.device("main"), driver.openHelper), [200, 400, 100, 300]);
    expect(driver.log).toEqual(["main 400", "helper 300", "main 200", "helper 100", "main finds 300", "main finds 100"]);
    expect(millis).toBeLessThan(2500);
    expect([driver.opened, driver.closed]).toEqual([1, 1]);
  });

  it("takes no pipeline twice, and one that was refused never", async () => {
    const driver = new Driver(1000);
    const warmUp = new WarmUp(driver.device("main"), driver.openHelper);
    const compiled = Promise.resolve();
    warmUp.add(jobOf(300), compiled);
    warmUp.add(jobOf(300), compiled);
    warmUp.add(jobOf(400), Promise.reject(new Error("refused")));
    await vi.runAllTimersAsync();
    expect(driver.log).toEqual(["main 300"]);
    expect(driver.opened).toBe(0);
  });

  it("does without the helper once the driver turns out to keep nothing on disk", async () => {
    const driver = new Driver(1000, null);
    await timeOf(new WarmUp(driver.device("main"), driver.openHelper), [800, 700, 600, 500, 400, 300, 200, 100]);
    // The helper's first is made again while it is at its third.
    expect(driver.log.filter((line) => line.startsWith("helper"))).toEqual(["helper 700", "helper 500", "helper 400"]);
    const onMain = driver.log.filter((line) => line.startsWith("main"));
    expect(onMain).toEqual([800, 600, 700, 500, 400, 300, 200, 100].map((length) => `main ${length}`));
    expect(driver.closed).toBe(1);
  });

  it.each([
    ["there is no second device", async () => undefined],
    ["the driver gives none", () => Promise.reject(new Error("no device"))],
    ["it fails", async () => ({ warm: () => Promise.reject(new Error("lost")), close: () => {} })],
  ])("goes on alone where %s", async (_, openHelper) => {
    const driver = new Driver(1000);
    await timeOf(new WarmUp(driver.device("main"), openHelper), [300, 200, 100]);
    expect(driver.log.at(-1)).toBe("main 100");
  });

  it("gives up without an error where the main device fails", async () => {
    const failing = new WarmUp({ warm: () => Promise.reject(new Error("lost")) }, () => Promise.resolve(undefined));
    expect(await timeOf(failing, [300, 200])).toBe(0);
  });

  it("ends what has begun when it is stopped, and begins again with what is added then", async () => {
    const driver = new Driver(1000);
    const warmUp = new WarmUp(driver.device("main"), driver.openHelper);
    setTimeout(() => warmUp.stop(), 500);
    expect(await timeOf(warmUp, [400, 300, 200, 100])).toBeCloseTo(1150, -1);
    expect(driver.log).toEqual(["main 400", "helper 300"]);
    expect(driver.closed).toBe(1);
    await timeOf(warmUp, [250]);
    expect(driver.log.at(-1)).toBe("main 250");
  });

  it("closes its helper at once, and takes nothing more", async () => {
    const driver = new Driver(1000);
    const warmUp = new WarmUp(driver.device("main"), driver.openHelper);
    const closing = new Promise<number>((resolve) => {
      setTimeout(() => {
        warmUp.close();
        resolve(driver.closed);
      }, 500);
    });
    await timeOf(warmUp, [400, 300, 200, 100]);
    expect(await closing).toBe(1);
    await timeOf(warmUp, [250]);
    expect(driver.log).toEqual(["main 400", "helper 300"]);
  });
});

const negate = defineKernel({
  name: "test-warm-up",
  buffers: { x: "read", y: "read_write", bias: { access: "read", type: "f32", optional: true } },
  uniforms: { count: "u32" },
  wgsl: /* wgsl */ `
    @compute @workgroup_size(WORKGROUP_SIZE)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      if (id.x < uniforms.count) { y[id.x] = -x[id.x]; }
    }`,
});

test("a pipeline that was warmed up computes as any other; nothing is allocated, counted or reported", async () => {
  Object.assign(globalThis, globals);
  const device = await Device.create(create([]));
  const x = device.upload(Float32Array.of(1, -2, 3), [3]);
  const y = device.empty([3], "f32");
  const before = { ...device.memory, ...device.counters };
  await device.warm({ kernel: negate, variant: { types: { Element: "f32" } } });
  expect({ ...device.memory, ...device.counters }).toEqual(before);
  expect(device.failure).toBeUndefined();
  const capture = device.capture(() => negate.launch({ x, y }, { count: 3 }, perElement(3)));
  await capture.ready();
  capture.run();
  expect([...(await y.read())]).toEqual([-1, 2, -3]);
  device.close();
});

test("where no shaders run on the host's cores nothing is warmed up", async () => {
  const device = await Device.create(create(["backend=null"]));
  expect(device.isSoftware).toBe(false);
  expect(device.warmUp).toBeUndefined();
  device.close();
});
