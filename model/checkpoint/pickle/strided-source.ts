import { type ByteSource, checkRange } from "../byte-source.ts";

/** A tensor that does not lie row by row, read as if it did. */
export interface StridedTensor {
  /** Byte of element 0 in the file. */
  readonly begin: number;
  readonly elementBytes: number;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
}

/** The row-major bytes of a strided tensor: what is asked for is gathered from the stretch of the file that holds it. */
export class StridedSource implements ByteSource {
  readonly name: string;
  readonly size: number;
  readonly #source: ByteSource;
  readonly #tensor: StridedTensor;

  constructor(source: ByteSource, tensor: StridedTensor) {
    this.name = source.name;
    this.size = tensor.shape.reduce((product, length) => product * length, tensor.elementBytes);
    this.#source = source;
    this.#tensor = tensor;
  }

  async read(begin: number, end: number): Promise<Uint8Array> {
    checkRange(this, begin, end);
    const { elementBytes } = this.#tensor;
    const first = Math.floor(begin / elementBytes);
    const positions = this.#positions(first, Math.ceil(end / elementBytes));
    const low = positions.reduce((least, position) => Math.min(least, position), Number.POSITIVE_INFINITY);
    const high = positions.reduce((most, position) => Math.max(most, position), 0);
    if (positions.length === 0) return new Uint8Array();
    const span = await this.#source.read(this.#tensor.begin + low * elementBytes, this.#tensor.begin + (high + 1) * elementBytes);
    const gathered = new Uint8Array(positions.length * elementBytes);
    for (const [i, position] of positions.entries()) {
      for (let b = 0; b < elementBytes; b++) gathered[i * elementBytes + b] = span[(position - low) * elementBytes + b]!;
    }
    return gathered.subarray(begin - first * elementBytes, end - first * elementBytes);
  }

  /** Where elements first..end-1 (row-major) stand, counted from element 0. */
  #positions(first: number, end: number): Float64Array {
    const { shape, strides } = this.#tensor;
    const positions = new Float64Array(Math.max(0, end - first));
    const index = shape.map(() => 0);
    let rest = first;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = rest % shape[axis]!;
      rest = Math.floor(rest / shape[axis]!);
    }
    let position = index.reduce((sum, at, axis) => sum + at * strides[axis]!, 0);
    for (let i = 0; i < positions.length; i++) {
      positions[i] = position;
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        position += strides[axis]!;
        if (++index[axis]! < shape[axis]!) break;
        position -= index[axis]! * strides[axis]!;
        index[axis] = 0;
      }
    }
    return positions;
  }
}

/** True where the elements lie one behind the other in row-major order; the stride of an axis of length 1 doesn't matter. */
export function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] === 0) return true;
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis]!;
  }
  return true;
}
