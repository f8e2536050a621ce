/**
 * @file Weights that leave the GPU while another stage works (`--low-memory`). The U-Net stays; text encoder and VAE come when they are
 * to run and go afterwards. While they are not on the GPU the CPU keeps them.
 */
import type { Device, Tensor } from "../engine/index.ts";
import type { StageName } from "./stages.ts";

/** Runs `work` with a stage's weights on the GPU. */
export type WithWeights = <T>(work: () => Promise<T>) => Promise<T>;

/** Of a stage whose weights stay there. */
export const resident: WithWeights = (work) => work();

/** Bytes given to the queue before waiting for it, so that its staging memory stays small. */
const mostInFlight = 64 * 1024 * 1024;

/** Stages whose weights come and go. */
export type Guest = Exclude<StageName, "unet">;

export class Residency {
  readonly #device: Device;
  readonly #tensors: (stage: Guest) => readonly Tensor[];
  /** Of weights that have left once, as long as nothing changes them. */
  readonly #copies = new Map<Tensor, ArrayBuffer>();

  /** `tensors`: the weights of a stage that have been asked for so far. */
  constructor(device: Device, tensors: (stage: Guest) => readonly Tensor[]) {
    this.#device = device;
    this.#tensors = tensors;
  }

  of(stage: Guest): WithWeights {
    return (work) => this.#with(stage, work);
  }

  /** Runs `work`, which changes the weights of a stage. */
  async change<T>(stage: Guest, work: () => Promise<T>): Promise<T> {
    return this.#with(stage, async () => {
      for (const tensor of this.#tensors(stage)) this.#copies.delete(tensor);
      return work();
    });
  }

  /** Takes a stage's weights off the GPU. */
  async leave(stage: Guest): Promise<void> {
    const here = this.#tensors(stage).filter(({ allocation }) => !allocation.parked);
    for (const tensor of here) {
      if (!this.#copies.has(tensor)) this.#copies.set(tensor, await this.#device.readBytes(tensor));
    }
    this.#device.park(here);
  }

  free(): void {
    this.#copies.clear();
  }

  async #bring(stage: Guest): Promise<void> {
    let inFlight = 0;
    for (const tensor of this.#tensors(stage)) {
      if (!tensor.allocation.parked) continue;
      this.#device.unpark(tensor);
      const copy = this.#copies.get(tensor);
      if (!copy) continue; // to be filled by whoever asked for it
      this.#device.write(tensor, new Uint16Array(copy));
      inFlight += copy.byteLength;
      if (inFlight > mostInFlight) {
        await this.#device.idle();
        inFlight = 0;
      }
    }
  }

  async #with<T>(stage: Guest, work: () => Promise<T>): Promise<T> {
    await this.#bring(stage);
    try {
      return await work();
    } finally {
      // Of a device that failed nothing can be read: what ended the work says so.
      await this.leave(stage).catch(() => {});
    }
  }
}
