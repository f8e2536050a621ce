/**
 * @file Tensors of one shape side by side in one buffer. A kernel that binds the whole buffer, and is told in its uniforms where
 * its operands lie, needs one bind group whichever of them meet: a sampler hands its latents round, and no two steps bind alike.
 */
import type { Device } from "./device.ts";
import { bytesPerElement, type DType } from "./dtype.ts";
import type { Allocation } from "./pool.ts";
import { elementCount, Tensor } from "./tensor.ts";

/** Every slot begins where a storage binding may begin on any adapter. */
const alignment = 256;

export class Slots {
  /** All slots as one tensor [slots, elements of a slot and what it is rounded up by]. */
  readonly whole: Tensor;
  readonly shape: readonly number[];
  readonly #taken: boolean[];
  #closed = false;

  /** `count` slots, or fewer where one binding could not hold them; they are the caller's until `free`. */
  constructor(device: Device, shape: readonly number[], dtype: DType, count: number) {
    const stride = Math.ceil((elementCount(shape) * bytesPerElement[dtype]) / alignment) * alignment;
    const most = Math.max(1, Math.floor(device.limits.maxStorageBufferBindingSize / stride));
    this.shape = [...shape];
    this.#taken = Array<boolean>(Math.min(count, most)).fill(false);
    this.whole = device.empty([this.#taken.length, stride / bytesPerElement[dtype]], dtype, "slots");
  }

  /** A tensor of this shape whose contents are undefined; it lives as one of `device.empty` does. Undefined when none is left. */
  take(label = "slot"): Tensor | undefined {
    const slot = this.#closed ? -1 : this.#taken.indexOf(false);
    if (slot < 0) return undefined;
    this.#taken[slot] = true;
    const { whole, shape } = this;
    const allocation: Allocation = {
      label,
      slots: this,
      buffer: whole.buffer,
      freed: false,
      release: () => {
        if (allocation.freed) return;
        (allocation as { freed: boolean }).freed = true;
        this.#taken[slot] = false;
        if (this.#closed) this.free();
      },
    };
    whole.device.own(allocation);
    return new Tensor(whole.device, allocation, shape, whole.dtype, (slot * whole.bytes) / this.#taken.length);
  }

  /** Gives the buffer back, once the last tensor in it has been freed. */
  free(): void {
    this.#closed = true;
    if (!this.#taken.includes(true)) this.whole.free();
  }
}

/** Where a tensor begins among all elements of its slots. @throws LimnError USE_AFTER_FREE */
export function slotBegin(tensor: Tensor): number {
  tensor.buffer; // throws where it has been freed: the whole buffer, which is what gets bound, lives on
  return tensor.offset / bytesPerElement[tensor.dtype];
}
