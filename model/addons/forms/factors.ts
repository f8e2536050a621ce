/** @file Small matrices of adapters, on the CPU: what is left to compute is less than a launch costs. */

/** [rows, columns] -> [columns, rows] */
export function transpose(values: Float32Array, rows: number): Float32Array {
  const columns = values.length / rows;
  const turned = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) turned[c * rows + r] = values[r * columns + c]!;
  return turned;
}

/** The first `kept` of each row's `columns`. */
export function leadingColumns(values: Float32Array, columns: number, kept: number): Float32Array {
  if (kept === columns) return values;
  return Float32Array.from(
    { length: (values.length / columns) * kept },
    (_, i) => values[Math.floor(i / kept) * columns + (i % kept)]!,
  );
}

/** core [n, q, taps], right [q, inputs] -> sum over q: [n, inputs * taps]. */
export function foldCore(core: Float32Array, right: Float32Array, { n, q }: { n: number; q: number }): Float32Array {
  const taps = core.length / (n * q);
  const inputs = right.length / q;
  const folded = new Float32Array(n * inputs * taps);
  const row = new Float64Array(inputs);
  for (let a = 0; a < n; a++) {
    for (let tap = 0; tap < taps; tap++) {
      row.fill(0);
      for (let b = 0; b < q; b++) {
        const factor = core[(a * q + b) * taps + tap]!;
        for (let i = 0; i < inputs; i++) row[i]! += factor * right[b * inputs + i]!;
      }
      for (let i = 0; i < inputs; i++) folded[(a * inputs + i) * taps + tap] = row[i]!;
    }
  }
  return folded;
}

interface Rotations {
  readonly count: number;
  readonly block: number;
  /** The blocks are B of Q = B - B^T (Cayley: R = (I + Q)(I - Q)^-1), and not R themselves. */
  readonly skew: boolean;
  /** Largest Frobenius norm of all Q together; 0 or none: no limit. */
  readonly constraint: number | undefined;
}

/** R - I for each block, f32 [count, block, block]. */
export function rotationsMinusOne(values: Float32Array, { count, block, skew, constraint = 0 }: Rotations): Float32Array {
  const size = block * block;
  const result = new Float32Array(count * size);
  const q = Float64Array.from(values, (value, at) => {
    const [first, row, column] = [at - (at % size), Math.floor((at % size) / block), at % block];
    return skew ? value - values[first + column * block + row]! : value;
  });
  const norm = Math.sqrt(q.reduce((sum, value) => sum + value * value, 0));
  const shrink = skew && constraint > 0 && norm > constraint ? constraint / norm : 1;
  for (let k = 0; k < count; k++) {
    const own = q.subarray(k * size, (k + 1) * size).map((value) => value * shrink);
    const rotation = skew ? cayley(own, block) : own;
    for (let i = 0; i < size; i++) result[k * size + i] = rotation[i]! - (i % (block + 1) === 0 ? 1 : 0);
  }
  return result;
}

/**
 * (I + Q)(I - Q)^-1 for a skew Q [n, n]. As (I - Q) + 2 Q = I + Q, and both factors commute, it is X of (I - Q) X = I + Q: Gauss-Jordan
 * with pivots (I - Q is never singular: Q's eigenvalues are imaginary).
 */
function cayley(q: Float64Array, n: number): Float64Array {
  const width = 2 * n;
  const rows = Array.from({ length: n }, (_, i) =>
    Float64Array.from({ length: width }, (_, j) => (j % n === i ? 1 : 0) + (j < n ? -1 : 1) * q[i * n + (j % n)]!),
  );
  for (let column = 0; column < n; column++) {
    let pivot = column;
    for (let i = column + 1; i < n; i++) if (Math.abs(rows[i]![column]!) > Math.abs(rows[pivot]![column]!)) pivot = i;
    [rows[column], rows[pivot]] = [rows[pivot]!, rows[column]!];
    const own = rows[column]!;
    const head = own[column]!;
    for (let j = column; j < width; j++) own[j]! /= head;
    for (const [i, row] of rows.entries()) {
      const factor = row[column]!;
      if (i === column || factor === 0) continue;
      for (let j = column; j < width; j++) row[j]! -= factor * own[j]!;
    }
  }
  return Float64Array.from({ length: n * n }, (_, i) => rows[Math.floor(i / n)]![n + (i % n)]!);
}
