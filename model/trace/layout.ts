/** @file Recorded tensors are [N, C, H, W], ours [N, H, W, C] with C padded to a multiple of 4; other shapes are alike. */
import { type Device, describe, ShapeError, type Tensor } from "../../engine/index.ts";

/** A recorded tensor on the device, in storage type. */
export function upload(device: Device, values: Float32Array, shape: readonly number[]): Tensor {
  const [, channels = 1, height = 1, width = 1] = shape;
  const target = deviceShape(shape);
  const ours = shape.length === 4 ? channelsLast(values, channels, height * width, target.at(-1)) : values;
  return device.upload(ours, target, device.storage);
}

/** The values of a tensor in the layout of its recorded twin, without padding. @throws ShapeError */
export async function download(tensor: Tensor, shape: readonly number[]): Promise<Float32Array> {
  const [, channels = 1, height = 1, width = 1] = shape;
  const wanted = deviceShape(shape);
  if (wanted.length !== tensor.shape.length || wanted.some((size, i) => size !== tensor.shape[i]))
    throw new ShapeError(`trace: recorded as [${shape.join(", ")}], but limn computes ${describe(tensor)}`);
  const values = await tensor.read();
  return shape.length === 4 ? channelsFirst(values, wanted.at(-1)!, height * width, channels) : values;
}

/** What a recorded tensor's shape is on the device. */
export function deviceShape(shape: readonly number[]): readonly number[] {
  if (shape.length !== 4) return shape;
  const [n = 1, channels = 1, height = 1, width = 1] = shape;
  return [n, height, width, Math.ceil(channels / 4) * 4];
}

/** [N, C, P] -> [N, P, padded], with zeros in the channels that C hasn't. */
export function channelsLast(values: ArrayLike<number>, channels: number, pixels: number, padded = channels): Float32Array {
  const images = values.length / (channels * pixels);
  const result = new Float32Array(images * pixels * padded);
  for (let row = 0; row < images * channels; row++) {
    const [n, c] = [Math.floor(row / channels), row % channels];
    for (let p = 0; p < pixels; p++) result[(n * pixels + p) * padded + c] = values[row * pixels + p]!;
  }
  return result;
}

/** [N, P, padded] -> [N, C, P]: the first C of the channels. */
export function channelsFirst(values: ArrayLike<number>, padded: number, pixels: number, channels = padded): Float32Array {
  const images = values.length / (padded * pixels);
  const result = new Float32Array(images * channels * pixels);
  for (let row = 0; row < images * channels; row++) {
    const [n, c] = [Math.floor(row / channels), row % channels];
    for (let p = 0; p < pixels; p++) result[row * pixels + p] = values[(n * pixels + p) * padded + c]!;
  }
  return result;
}
