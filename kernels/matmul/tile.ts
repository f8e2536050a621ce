/**
 * @file The tiled product of the GPU rungs, shared by GEMM and convolution: a convolution is the product of its gathered input
 * pixels [rows, inner] and its weights [inner, columns], so the two differ only in where a row's numbers lie.
 */
import { type Device, defineSnippet, type Grid } from "../../engine/index.ts";

/** Rows and columns of the output that one workgroup computes. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
}

/** The tile of the tiled rungs, with as many invocations as rows: the small one where the large would keep a GPU idle. */
export function tileOf(device: Device, rows: number, columns: number): Tile {
  const large = Math.ceil(rows / 128) * Math.ceil(columns / 64);
  return { rows: large >= 256 && device.limits.maxComputeInvocationsPerWorkgroup >= 128 ? 128 : 64, columns: 64 };
}

/** Workgroups of `tile` that cover the output: columns along x, rows along y, folded into z above 65,535. */
export function tileGrid(rows: number, columns: number, tile: Tile): Grid {
  const tiles = Math.ceil(rows / tile.rows);
  const folds = Math.ceil(tiles / 65535);
  return [Math.ceil(columns / tile.columns), Math.ceil(tiles / folds), folds];
}

/**
 * `tiled_product(group, groups, local)`: a workgroup computes a tile of WORKGROUP_SIZE rows by 64 columns, an invocation 8 rows by
 * 8 columns of it (four rows in each half of the tile, and four columns in each half). Both operands pass through workgroup memory,
 * 16 inner numbers at a time; x's part is transposed on the way in, so that an invocation reads two vectors of rows and two of
 * columns for 64 multiplications.
 *
 * The kernel declares `struct Rows`, `fn find_rows(first: u32) -> Rows` (four consecutive rows; those past the end may repeat others),
 * `fn load_rows(rows: Rows, quad: u32) -> mat4x4f` (numbers 4 quad..4 quad+3 of each, quad < inner_quads) and
 * `fn sample_of(row: u32) -> u32`; uniforms `rows`, `quads` (columns / 4), `inner_quads`; buffers `weight` [inner, quads] and `y` [rows, quads].
 */
export const tiledProduct = defineSnippet({
  name: "tiled_product",
  wgsl: /* wgsl */ `
    const ROW_QUADS = WORKGROUP_SIZE / 4u;
    const ROW_STRIDE = ROW_QUADS + 1u;       // one more, or the four invocations that share a row would write to the same bank
    const COLUMN_QUADS = 16u;
    var<workgroup> row_tile: array<vec4f, 16u * ROW_STRIDE>;
    var<workgroup> column_tile: array<vec4f, 16u * COLUMN_QUADS>;

    fn tiled_product(group: vec3u, groups: vec3u, local: u32) {
      let first_row = (group.y + group.z * groups.y) * WORKGROUP_SIZE;
      let first_quad = group.x * COLUMN_QUADS;
      let fetch_quad = local % 4u;           // four neighbouring invocations fetch 16 neighbouring numbers
      let fetch_row = local / 4u;
      let fetched = find_rows(first_row + fetch_row * 4u);
      let row = local / 8u;                  // of ROW_QUADS / 2
      let column = local % 8u;               // of COLUMN_QUADS / 2

      var sums: array<vec4f, 16>;            // 8 rows x 2 vectors of columns
      for (var quad = 0u; quad < uniforms.inner_quads; quad += 4u) {
        var block = mat4x4f();
        if (quad + fetch_quad < uniforms.inner_quads) { block = transpose(load_rows(fetched, quad + fetch_quad)); }
        let at = fetch_quad * 4u * ROW_STRIDE + fetch_row;
        row_tile[at] = block[0];
        row_tile[at + ROW_STRIDE] = block[1];
        row_tile[at + 2u * ROW_STRIDE] = block[2];
        row_tile[at + 3u * ROW_STRIDE] = block[3];
        for (var i = local; i < 16u * COLUMN_QUADS; i += WORKGROUP_SIZE) {
          let k = quad * 4u + i / COLUMN_QUADS;
          let q = first_quad + i % COLUMN_QUADS;
          var values = vec4f();
          if (k < uniforms.inner_quads * 4u && q < uniforms.quads) { values = vec4f(weight[k * uniforms.quads + q]); }
          column_tile[i] = values;
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let a = row_tile[k * ROW_STRIDE + row];
          let b = row_tile[k * ROW_STRIDE + row + ROW_QUADS / 2u];
          let left = column_tile[k * COLUMN_QUADS + column];
          let right = column_tile[k * COLUMN_QUADS + column + COLUMN_QUADS / 2u];
          sums[0] = fma(vec4f(a.x), left, sums[0]);
          sums[1] = fma(vec4f(a.x), right, sums[1]);
          sums[2] = fma(vec4f(a.y), left, sums[2]);
          sums[3] = fma(vec4f(a.y), right, sums[3]);
          sums[4] = fma(vec4f(a.z), left, sums[4]);
          sums[5] = fma(vec4f(a.z), right, sums[5]);
          sums[6] = fma(vec4f(a.w), left, sums[6]);
          sums[7] = fma(vec4f(a.w), right, sums[7]);
          sums[8] = fma(vec4f(b.x), left, sums[8]);
          sums[9] = fma(vec4f(b.x), right, sums[9]);
          sums[10] = fma(vec4f(b.y), left, sums[10]);
          sums[11] = fma(vec4f(b.y), right, sums[11]);
          sums[12] = fma(vec4f(b.z), left, sums[12]);
          sums[13] = fma(vec4f(b.z), right, sums[13]);
          sums[14] = fma(vec4f(b.w), left, sums[14]);
          sums[15] = fma(vec4f(b.w), right, sums[15]);
        }
        workgroupBarrier();
      }
      for (var i = 0u; i < 16u; i++) {
        let r = first_row + (row + (i / 8u) * (ROW_QUADS / 2u)) * 4u + (i / 2u) % 4u;
        let q = first_quad + column + (i % 2u) * (COLUMN_QUADS / 2u);
        if (r < uniforms.rows && q < uniforms.quads) {
          y[r * uniforms.quads + q] = Element4(epilogue(sums[i], r, q, sample_of(r)));
        }
      }
    }`,
});
