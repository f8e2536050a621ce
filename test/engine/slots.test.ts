import { describe, expect, test } from "vitest";
import { Slots } from "../../engine/index.ts";
import { combine, modelInput, type Term } from "../../kernels/index.ts";
import { closeTo, createDevice, useDevice } from "../kernels/harness.ts";

const gpu = useDevice();
const size = 65;
/** Values of the n-th tensor: nothing that a neighbour could be mistaken for. */
const values = (n: number) => Float32Array.from({ length: size }, (_, i) => 100 * n + i);

function filled(slots: Slots, n: number) {
  const tensor = slots.take()!;
  gpu.device.write(tensor, values(n));
  return tensor;
}

function inSlots<T>(count: number, run: (slots: Slots) => T): T {
  return gpu.device.scope(() => run(new Slots(gpu.device, [size], "f32", count)));
}

describe("slots", () => {
  test("are tensors of their own: freed ones are handed out again, and none when all are taken", () => {
    inSlots(2, (slots) => {
      const [a, b] = [slots.take("a")!, slots.take("b")!];
      expect(slots.take()).toBeUndefined();
      expect(a.offset).not.toBe(b.offset);
      a.free();
      a.free(); // twice changes nothing
      expect(slots.take()!.offset).toBe(a.offset);
      expect(slots.take()).toBeUndefined();
      expect(() => combine([[1, a]])).toThrow(/a f32\[65\] was used after/);
    });
  });

  test("lie apart, and each where a binding may begin", async () => {
    const [a, b] = inSlots(2, (slots) => [filled(slots, 1), filled(slots, 2)]);
    expect(a!.offset % 256).toBe(0);
    expect(await a!.read()).toEqual(values(1));
    expect(await b!.read()).toEqual(values(2));
    a!.free();
    b!.free();
  });

  test("outlive `free` until the last of them is freed", async () => {
    const before = gpu.device.memory.liveBytes;
    const slots = new Slots(gpu.device, [size], "f32", 3);
    const kept = filled(slots, 3);
    slots.free();
    expect(slots.take()).toBeUndefined();
    expect(gpu.device.memory.liveBytes).toBeGreaterThan(before);
    expect(await kept.read()).toEqual(values(3));
    kept.free();
    expect(gpu.device.memory.liveBytes).toBe(before);
  });

  test("are as many as one binding can hold", async () => {
    const device = await createDevice({ limits: { maxStorageBufferBindingSize: 1024 } });
    const slots = new Slots(device, [64], "f32", 16); // 256 bytes each
    expect(Array.from({ length: 16 }, () => slots.take()).filter(Boolean)).toHaveLength(4);
    device.close();
  });
});

describe("combine of slots", () => {
  // Which of three terms are tensors of their own.
  test.for([[], [0], [2], [0, 1], [1, 2], [0, 1, 2]])("terms %j lie elsewhere", async (elsewhere) => {
    const made = inSlots(8, (slots) => {
      const terms = [1, 2, 3].map((n, k): Term => {
        const x = elsewhere.includes(k) ? gpu.device.upload(values(n), [size]) : filled(slots, n);
        return [0.5 * n, x];
      });
      const into = slots.take()!;
      return combine(terms, into);
    });
    const expected = Array.from({ length: size }, (_, i) => [1, 2, 3].reduce((sum, n) => sum + 0.5 * n * values(n)[i]!, 0));
    closeTo(await made.read(), expected, 1e-6);
    made.free();
  });

  test.for([1, 2, 3, 4, 5, 6])("%i terms, the sum in the place of the first", async (count) => {
    const [first, second] = inSlots(8, (slots) => {
      const terms = Array.from({ length: count }, (_, n): Term => [n - 1.5, filled(slots, n)]);
      const kept = filled(slots, 9);
      return [combine(terms, terms[0]![1]), kept];
    });
    const expected = Array.from({ length: size }, (_, i) =>
      Array.from({ length: count }, (_, n) => (n - 1.5) * values(n)[i]!).reduce((a, b) => a + b, 0),
    );
    closeTo(await first!.read(), expected, 1e-6);
    expect(await second!.read()).toEqual(values(9));
    first!.free();
    second!.free();
  });

  test("lies in the same slots while some are left, then in a tensor of its own", () => {
    inSlots(2, (slots) => {
      const x = filled(slots, 1);
      expect(combine([[2, x]]).allocation.slots).toBe(slots);
      expect(combine([[2, x]]).allocation.slots).toBeUndefined();
    });
  });

  test("builds no bind group when other slots meet", () => {
    inSlots(8, (slots) => {
      const all = Array.from({ length: 6 }, (_, n) => filled(slots, n));
      const sum = (i: number) => {
        combine(
          [
            [1, all[i % 6]!],
            [2, all[(i + 1) % 6]!],
          ],
          all[(i + 2) % 6]!,
        );
        gpu.device.flush();
      };
      sum(0);
      const { built } = gpu.device.bindGroups;
      for (let i = 1; i < 12; i++) sum(i);
      expect(gpu.device.bindGroups.built).toBe(built);
    });
  });
});

test("modelInput finds a latent in its slot", async () => {
  const input = inSlots(4, (slots) => {
    filled(slots, 1);
    return modelInput(filled(slots, 2), { factor: 3, copies: 2, dtype: "f32" });
  });
  const expected = [...values(2), ...values(2)].map((value) => 3 * value);
  closeTo(await input.read(), expected, 1e-6);
  input.free();
});
