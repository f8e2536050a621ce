/** @file Rows 66 and 76 of the fault catalogue: a GPU that hangs ends the run; a slow one, or a process that was stopped, does not. */
import { expect, test } from "vitest";
import { exitCodeOf, exitCodes } from "../../cli/terminal/exit-codes.ts";
import { FailureWatch } from "../../engine/failure-watch.ts";
import { DeviceError } from "../../engine/index.ts";
import { createDevice, loadSmall, picture, rejection } from "./picture.ts";

const never = new Promise<never>(() => {});
const patience = 0.2;

/** A watch on a GPU that says nothing. */
function watch(software = false, seconds: number | undefined = patience): FailureWatch {
  const silent = { addEventListener: () => {}, lost: never } as unknown as GPUDevice;
  return new FailureWatch(silent, { software, patience: seconds, memory: () => ({}) });
}

const after = (seconds: number) => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));

test("no completion within the patience: DEVICE_HUNG, exit 7", async () => {
  const failures = watch();
  const start = performance.now();
  const error = await rejection(failures.wait(never));
  expect(error).toBeInstanceOf(DeviceError);
  expect(error.code).toBe("DEVICE_HUNG");
  expect(exitCodeOf(error)).toBe(exitCodes.device);
  expect(performance.now() - start).toBeGreaterThan(900 * patience);
  expect(() => failures.check()).toThrow("finished nothing");
});

test("another completion is a sign of life", async () => {
  const failures = watch();
  const long = failures.wait(after(2 * patience));
  for (let i = 0; i < 6; i++) await failures.wait(after(patience / 3));
  await long;
  failures.check();
});

test("time in which the process itself was stopped does not count", async () => {
  const failures = watch();
  const short = failures.wait(after(patience / 4));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3000 * patience);
  await short;
  failures.check();
});

test("without waits no clock runs", async () => {
  const failures = watch();
  await failures.wait(after(patience / 4));
  await after(1.5 * patience);
  failures.check();
});

test("a lost device ends every wait", async () => {
  let lose: (info: GPUDeviceLostInfo) => void = () => {};
  const lost = new Promise<GPUDeviceLostInfo>((resolve) => {
    lose = resolve;
  });
  const failures = new FailureWatch({ addEventListener: () => {}, lost } as unknown as GPUDevice, {
    software: false,
    memory: () => ({}),
  });
  const waits = [failures.wait(never), failures.wait(never)].map(rejection);
  lose({ reason: "unknown", message: "driver reset" } as GPUDeviceLostInfo);
  for (const error of await Promise.all(waits)) expect(error).toMatchObject({ code: "DEVICE_LOST" });
});

test("a picture on a GPU that hangs in the middle ends with DEVICE_HUNG and its memory back", async () => {
  const device = await createDevice({ precision: "f32", patience: 5 });
  const model = await loadSmall(device);
  const live = device.memory.liveBytes;
  // From now on nothing that is waited for comes.
  const allocate = device.allocate.bind(device);
  let hangs = false;
  device.allocate = (descriptor) => {
    const buffer = allocate(descriptor);
    if (hangs) Object.defineProperty(buffer, "mapAsync", { value: () => never });
    return buffer;
  };
  const error = await rejection(
    picture(model, { steps: 4 }, (step) => {
      hangs ||= step === 1;
    }),
  );
  expect(error.code).toBe("DEVICE_HUNG");
  expect(device.memory.liveBytes).toBe(live);
  device.close();
});
