/** @file A 1x1 convolution of two maps side by side that joins them only where it must. */
import { ShapeError, type Tensor } from "../engine/index.ts";
import { concat } from "./concat.ts";
import { conv2d } from "./conv2d/index.ts";

/**
 * conv2d(concat(a, b), weight): a [N, H, W, A], b [N, H, W, B], weight [1, 1, A + B, O], bias f32 [O] -> [N, H, W, O]. It is
 * conv2d(a, weight[:A]) + conv2d(b, weight[A:]), and rows of the weights are a view where they begin as a binding may. Throws a
 * ShapeError for a larger window.
 */
export function conv2dOfTwo(a: Tensor, b: Tensor, weight: Tensor, { bias }: { bias?: Tensor | undefined } = {}): Tensor {
  const [height, width, inputs = 0, outputs = 0] = weight.shape;
  if (height !== 1 || width !== 1)
    throw new ShapeError(`conv2dOfTwo: the window is 1 x 1, the weights are [${weight.shape.join(", ")}]`);
  const own = a.shape.at(-1)!;
  const begin = (weight.bytes / inputs) * own;
  const inQuads = own % 4 === 0 && inputs % 4 === 0;
  return a.device.scope(() => {
    if (!inQuads || begin % a.device.limits.minStorageBufferOffsetAlignment !== 0 || inputs !== own + b.shape.at(-1)!)
      return conv2d(concat(a, b), weight, { bias });
    const rows = weight.reshape([inputs, outputs]);
    const part = (first: number, last: number) => rows.rows(first, last).reshape([1, 1, last - first, outputs]);
    const residual = conv2d(a, part(0, own), { bias });
    return conv2d(b, part(own, inputs), { residual });
  });
}
