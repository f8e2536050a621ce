/** @file A tensor: an immutable record of where some numbers lie on the GPU. Operations on it are free functions in kernels/. */
import type { Device } from "./device.ts";
import { bytesPerElement, type DType, f16ToF32 } from "./dtype.ts";
import { LimnError, ShapeError } from "./errors.ts";
import type { Allocation, PooledBuffer } from "./pool.ts";

export class Tensor {
  readonly device: Device;
  /** Sizes, slowest axis first; activations are [N, H, W, C] or [N, T, C]. */
  readonly shape: readonly number[];
  readonly dtype: DType;
  /** Where the first element lies in the buffer, in bytes. */
  readonly offset: number;
  /** Number of elements. */
  readonly size: number;
  readonly allocation: Allocation;

  constructor(device: Device, allocation: Allocation, shape: readonly number[], dtype: DType, offset = 0) {
    this.device = device;
    this.allocation = allocation;
    this.shape = shape;
    this.dtype = dtype;
    this.offset = offset;
    this.size = elementCount(shape);
  }

  /** Bytes of the elements (without the padding of the buffer's size class). */
  get bytes(): number {
    return this.size * bytesPerElement[this.dtype];
  }

  /** The buffer behind it. Throws after the tensor's scope has ended. */
  get buffer(): PooledBuffer {
    if (this.allocation.freed) {
      throw new LimnError("USE_AFTER_FREE", `tensor ${this.label} was used after its memory had been given back`, {
        hint: "a tensor lives until the scope that made it ends: return it from the scope",
      });
    }
    return this.allocation.buffer;
  }

  get label(): string {
    return `${this.allocation.label} ${this.dtype}[${this.shape.join(", ")}]`;
  }

  /** The same elements under another shape of equal size. Throws a ShapeError for another size. */
  reshape(shape: readonly number[]): Tensor {
    if (elementCount(shape) !== this.size) {
      throw new ShapeError(
        `reshape: [${this.shape.join(", ")}] has ${this.size} elements, [${shape.join(", ")}] would have ${elementCount(shape)}`,
      );
    }
    return new Tensor(this.device, this.allocation, shape, this.dtype, this.offset);
  }

  /**
   * Rows `begin` to `end` of the slowest axis as a view of the same memory. The kernel that gets it binds only that range, so
   * its first byte must lie on a multiple of the device's alignment of storage bindings (256 at most). Throws a ShapeError for rows
   * that are not there.
   */
  rows(begin: number, end: number): Tensor {
    const rows = this.shape[0] ?? 1;
    if (!Number.isInteger(begin) || !Number.isInteger(end) || begin < 0 || end > rows || begin >= end)
      throw new ShapeError(`rows: ${begin}..${end} lies outside 0..${rows}`);
    const rowBytes = this.bytes / rows;
    return new Tensor(
      this.device,
      this.allocation,
      [end - begin, ...this.shape.slice(1)],
      this.dtype,
      this.offset + begin * rowBytes,
    );
  }

  /** Waits for the work recorded so far and copies the elements to the CPU as f32 (f16 is widened). */
  async read(): Promise<Float32Array> {
    const bytes = await this.device.readBytes(this);
    if (this.dtype === "f16") return f16ToF32(new Uint16Array(bytes));
    if (this.dtype === "u32") return Float32Array.from(new Uint32Array(bytes));
    return new Float32Array(bytes);
  }

  /** As `read`, but the raw 32-bit words. */
  async readU32(): Promise<Uint32Array> {
    return new Uint32Array(await this.device.readBytes(this));
  }

  /** Gives the memory back now. Tensors made in a scope need no call: the scope does it. */
  free(): void {
    this.allocation.release();
  }
}

/** The product of the sizes; 1 for []. @throws ShapeError for what is no whole number from 0 up */
export function elementCount(shape: readonly number[]): number {
  let count = 1;
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 0)
      throw new ShapeError(`a shape may hold whole numbers only: [${shape.join(", ")}]`);
    count *= size;
  }
  return count;
}
