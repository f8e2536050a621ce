/** @file Large weights on the GPU's side of loading: bytes go there as they are, and are converted and transposed in place. */
import { type Device, sizeClass, type Tensor } from "../../engine/index.ts";
import { unpackWeight } from "../../kernels/index.ts";
import { bytesOf } from "./dtypes.ts";
import { maxRead, type Piece, type Read, type Target } from "./load-plan.ts";
import { queueWrite } from "./queue-write.ts";

/** Below this a launch costs more than the CPU needs for it all. */
const leastElements = 16_384;

/** GPU memory that loading so many tensors takes at most beside themselves, where the GPU unpacks them. */
export function stagingBytes(device: Device, tensors: number): number {
  return unpacksOn(device) ? sizeClass(maxRead + 4) + sizeClass(4 * tensors) : 0;
}

export class GpuUnpacker {
  readonly #device: Device;
  readonly #slots = new Map<Target, number>();
  readonly #staging: Tensor | undefined;
  readonly #largest: Tensor | undefined;

  /** @param targets all that are to be loaded; those that suit the GPU get a place for their largest magnitude */
  constructor(device: Device, targets: readonly Target[]) {
    this.#device = device;
    for (const target of targets) if (suits(device, target)) this.#slots.set(target, this.#slots.size);
    if (this.#slots.size === 0) return;
    this.#staging = device.empty([maxRead / 4 + 1], "u32", "bytes of weights");
    this.#largest = device.upload(new Uint32Array(this.#slots.size), [this.#slots.size], "u32", "largest magnitudes");
  }

  has(target: Target): boolean {
    return this.#slots.has(target);
  }

  /** Gives a read's bytes to the GPU and unpacks the pieces that are its own; returns how many bytes it took. */
  take(read: Read, data: Uint8Array): number {
    const pieces = read.pieces.filter(({ target }) => this.#slots.has(target));
    const [staging, largest] = [this.#staging, this.#largest];
    const [first, last] = [pieces[0], pieces.at(-1)];
    if (!staging || !largest || !first || !last) return 0;
    const bytes = data.subarray(first.begin - read.begin, last.end - read.begin);
    this.#write(staging, bytes);
    for (const piece of pieces) unpackWeight(staging, piece.target.tensor, largest, this.#options(piece, first.begin));
    this.#device.flush(); // the next read's bytes would overtake what is recorded
    return bytes.length;
  }

  /** F32 bits of each target's largest magnitude, once the GPU is done. */
  async largest(): Promise<Map<Target, number>> {
    const values = (await this.#largest?.readU32()) ?? [];
    return new Map([...this.#slots].map(([target, slot]) => [target, values[slot] ?? 0]));
  }

  free(): void {
    this.#staging?.free();
    this.#largest?.free();
  }

  #options({ target, part, firstOutput, begin, end }: Piece, start: number) {
    const { inner, taps, inputs, width } = target.layout;
    const size = bytesOf(part.dtype);
    return {
      format: part.dtype,
      first: (begin - start) / size,
      outputs: (end - begin) / size / inner,
      inner,
      taps,
      inputs,
      width,
      column: part.column + firstOutput,
      slot: this.#slots.get(target)!,
      scale: part.scale,
    };
  }

  /** The queue writes whole words. */
  #write(staging: Tensor, bytes: Uint8Array): void {
    const { queue } = this.#device.gpu;
    const { buffer, offset } = staging;
    const whole = bytes.length - (bytes.length % 4);
    queueWrite(queue, buffer.gpu, offset, bytes.subarray(0, whole) as Uint8Array<ArrayBuffer>);
    if (whole === bytes.length) return;
    const rest = new Uint8Array(4);
    rest.set(bytes.subarray(whole));
    queue.writeBuffer(buffer.gpu, offset + whole, rest);
  }
}

/** Matrices without padded inputs, whose parts begin at whole fours of outputs, and that fit a binding. */
function suits(device: Device, { layout, parts, tensor, isMatrix }: Target): boolean {
  if (!unpacksOn(device)) return false;
  if (!isMatrix || layout.inner === 1 || layout.size < leastElements) return false;
  if (layout.inputs * layout.taps !== layout.inner || layout.inner >= 65_536 * 32) return false;
  if (tensor.bytes > device.limits.maxStorageBufferBindingSize) return false;
  const outputBytes = (part: Target["parts"][number]): number => layout.inner * bytesOf(part.dtype);
  return parts.every((part) => part.column % 4 === 0 && 4 * outputBytes(part) <= maxRead);
}

/** On the software tier the CPU would do it in its slower way. */
function unpacksOn({ tier, limits }: Device): boolean {
  return tier !== "software" && limits.maxStorageBufferBindingSize >= maxRead + 4;
}
