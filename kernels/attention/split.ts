/**
 * @file Attention over tensors that no binding can hold. A query's result needs all keys of its head and nothing of other queries, heads
 * or images, so these are taken apart and every part is computed as a small attention is: the numbers don't change.
 */
import { bytesPerElement, OutOfMemoryError, type Tensor } from "../../engine/index.ts";
import { columns } from "../columns.ts";
import { concat } from "../concat.ts";
import type { AttentionOptions } from "./problem.ts";

export type Attend = (q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions) => Tensor;

/** A way to compute this in parts, by `attend`; undefined where every tensor fits into a binding, or parts would be no smaller. */
export function splitOf(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): ((attend: Attend) => Tensor) | undefined {
  const [batch = 1, queries = 1] = q.shape;
  const { maxStorageBufferBindingSize: limit } = q.device.limits;
  // Some rungs keep their sums in the result, which is f32 then.
  const result = 4 * batch * queries * options.heads * options.headDim;
  const tooLarge = [q.bytes, k.bytes, v.bytes, result].map((bytes) => bytes > limit);
  if (!tooLarge.includes(true)) return undefined;
  if (batch > 1) return (attend) => imageByImage(q, k, v, options, attend);
  if (tooLarge[1] || tooLarge[2]) return (attend) => inHeads(q, k, v, options, attend);
  // With a causal mask queries are counted from the first on.
  return options.causal || queries === 1 ? undefined : (attend) => inQueries(q, k, v, options, attend);
}

function imageByImage(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions, attend: Attend): Tensor {
  const { device } = q;
  const [batch = 1, queries = 1] = q.shape;
  const result = device.empty([batch, queries, options.heads * options.headDim], q.dtype, "attention");
  for (let n = 0; n < batch; n++) {
    device.scope(() => {
      const [own, keys, values] = [q, k, v].map((tensor) => bindable(tensor.rows(n, n + 1)));
      device.copy(attend(own!, keys!, values!, options), result.rows(n, n + 1));
    });
  }
  return result;
}

/** As many heads at a time as a binding can hold the keys of, side by side in a tensor of their own. */
function inHeads(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions, attend: Attend): Tensor {
  const { heads, headDim, columns: first = {} } = options;
  const { maxStorageBufferBindingSize: limit } = q.device.limits;
  const headBytes = k.shape[1]! * headDim * bytesPerElement[k.dtype];
  const most = Math.floor(limit / headBytes);
  if (most === 0) {
    throw new OutOfMemoryError(
      "BINDING_TOO_LARGE",
      `attention: the keys of one head take ${headBytes} bytes, a binding may have ${limit}`,
      {
        hint: "make a smaller picture",
        context: { bytes: headBytes, limit },
      },
    );
  }
  return q.device.scope(() => {
    let result: Tensor | undefined;
    for (let head = 0; head < heads; head += most) {
      const count = Math.min(most, heads - head);
      const part = q.device.scope(() => {
        const [keys, values] = [
          columns(k, (first.k ?? 0) + head * headDim, count * headDim),
          columns(v, (first.v ?? 0) + head * headDim, count * headDim),
        ];
        return attend(q, keys, values, { ...options, heads: count, columns: { q: (first.q ?? 0) + head * headDim } });
      });
      result = result ? concat(result, part) : part;
    }
    return result!;
  });
}

function inQueries(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions, attend: Attend): Tensor {
  const { device } = q;
  const [, queries = 1, width = 1] = q.shape;
  const outWidth = options.heads * options.headDim;
  const rowBytes = Math.max(width * bytesPerElement[q.dtype], 4 * outWidth);
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / rowBytes);
  const band = Math.max(1, most - (most % 2)); // an even number of rows begins at a whole word, as copies want it
  const result = device.empty([1, queries, outWidth], q.dtype, "attention");
  const [from, to] = [q.reshape([queries, width]), result.reshape([queries, outWidth])];
  for (let begin = 0; begin < queries; begin += band) {
    const end = Math.min(queries, begin + band);
    device.scope(() => {
      const rows = bindable(from.rows(begin, end)).reshape([1, end - begin, width]);
      device.copy(attend(rows, k, v, options).reshape([end - begin, outWidth]), to.rows(begin, end));
    });
  }
  return result;
}

/** A view as it is where a binding may begin at its first byte, else a copy. */
function bindable(view: Tensor): Tensor {
  if (view.offset % view.device.limits.minStorageBufferOffsetAlignment === 0) return view;
  const copy = view.device.empty(view.shape, view.dtype, "rows");
  view.device.copy(view, copy);
  return copy;
}
