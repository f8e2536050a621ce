/** @file Plain-loop twins of the upscalers, in f64, over planes [C][H][W] as the original implementations hold them. */

interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly values: Float64Array;
}
type Tensors = ReadonlyMap<string, { readonly shape: readonly number[]; readonly values: ArrayLike<number> }>;

export function planes(
  channels: number,
  height: number,
  width: number,
  value: (c: number, y: number, x: number) => number,
): Planes {
  const values = new Float64Array(channels * height * width);
  for (let c = 0; c < channels; c++)
    for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) values[(c * height + y) * width + x] = value(c, y, x);
  return { channels, height, width, values };
}

function at({ height, width, values }: Planes, c: number, y: number, x: number): number {
  return y < 0 || x < 0 || y >= height || x >= width ? 0 : values[(c * height + y) * width + x]!;
}

function conv(x: Planes, tensors: Tensors, name: string): Planes {
  const { shape, values } = tensors.get(`${name}.weight`)!;
  const [outputs = 0, inputs = 0, size = 0] = shape;
  const bias = tensors.get(`${name}.bias`)?.values;
  const half = (size - 1) / 2;
  return planes(outputs, x.height, x.width, (o, row, column) => {
    let sum = bias?.[o] ?? 0;
    for (let i = 0; i < inputs; i++)
      for (let dy = 0; dy < size; dy++)
        for (let dx = 0; dx < size; dx++)
          sum += values[((o * inputs + i) * size + dy) * size + dx]! * at(x, i, row + dy - half, column + dx - half);
    return sum;
  });
}

const map = (x: Planes, f: (value: number, channel: number) => number): Planes =>
  planes(x.channels, x.height, x.width, (c, row, column) => f(at(x, c, row, column), c));
const leaky = (x: Planes): Planes => map(x, (value) => (value > 0 ? value : 0.2 * value));
const sum = (x: Planes, y: Planes, share = 1): Planes =>
  planes(x.channels, x.height, x.width, (c, row, column) => at(x, c, row, column) + share * at(y, c, row, column));
const doubled = (x: Planes): Planes =>
  planes(x.channels, 2 * x.height, 2 * x.width, (c, y, u) => at(x, c, Math.floor(y / 2), Math.floor(u / 2)));
const joined = (parts: readonly Planes[]): Planes => {
  const all = parts.flatMap((part) => Array.from({ length: part.channels }, (_, c) => ({ part, c })));
  return planes(all.length, parts[0]!.height, parts[0]!.width, (i, y, x) => at(all[i]!.part, all[i]!.c, y, x));
};

/** [3] planes, 0..1 -> the network's output, not cut to 0..1. */
export function rrdb(image: Planes, tensors: Tensors, unshuffle: number): Planes {
  const u = unshuffle;
  const input = planes(3 * u * u, image.height / u, image.width / u, (i, y, x) => {
    const [c, dy, dx] = [Math.floor(i / (u * u)), Math.floor(i / u) % u, i % u];
    return at(image, c, y * u + dy, x * u + dx);
  });
  const first = conv(input, tensors, "conv_first");
  let h = first;
  for (let n = 0; tensors.has(`body.${n}.rdb1.conv1.weight`); n++) {
    let inside = h;
    for (const i of [1, 2, 3]) {
      const path = `body.${n}.rdb${i}`;
      const seen = [inside];
      for (const j of [1, 2, 3, 4]) {
        let made = leaky(conv(joined(seen), tensors, `${path}.conv${j}`));
        if (tensors.has(`${path}.conv1x1.weight`)) {
          if (j === 2) made = sum(made, conv(inside, tensors, `${path}.conv1x1`));
          if (j === 4) made = sum(made, seen[2]!);
        }
        seen.push(made);
      }
      inside = sum(inside, conv(joined(seen), tensors, `${path}.conv5`), 0.2);
    }
    h = sum(h, inside, 0.2);
  }
  h = sum(first, conv(h, tensors, "conv_body"));
  for (let i = 1; tensors.has(`conv_up${i}.weight`); i++) h = leaky(conv(doubled(h), tensors, `conv_up${i}`));
  return conv(leaky(conv(h, tensors, "conv_hr")), tensors, "conv_last");
}

export function srvgg(image: Planes, tensors: Tensors, scale: number): Planes {
  let h = image;
  for (let i = 0; tensors.has(`body.${i}.weight`); i++) {
    const { shape, values } = tensors.get(`body.${i}.weight`)!;
    h = shape.length === 1 ? map(h, (value, c) => (value > 0 ? value : value * values[c]!)) : conv(h, tensors, `body.${i}`);
  }
  return planes(3, image.height * scale, image.width * scale, (c, y, x) => {
    const [down, right] = [Math.floor(y / scale), Math.floor(x / scale)];
    return at(h, c * scale * scale + (y % scale) * scale + (x % scale), down, right) + at(image, c, down, right);
  });
}
