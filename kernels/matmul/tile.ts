/**
 * @file The tiled product of the GPU rungs, shared by GEMM and convolution: a convolution is the product of its gathered input
 * pixels [rows, inner] and its weights [inner, columns], so the two differ only in where a row's numbers lie.
 */
import { type Device, defineSnippet, type Grid } from "../../engine/index.ts";
import { gated } from "./epilogue.ts";
import { rank1Update } from "./sums.ts";

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
 * `fn sample_of(row: u32) -> u32`; uniforms `rows`, `quads` (columns / 4), `inner_quads`; `eight` (8); the buffer `weight` [inner,
 * quads]; and takes one of the snippets wholeTile and tileSlice.
 */
export const tiledProduct = defineSnippet({
  name: "tiled_product",
  needs: [rank1Update],
  wgsl: /* wgsl */ `
    const ROW_QUADS = WORKGROUP_SIZE / 4u;
    const ROW_STRIDE = ROW_QUADS + 1u;       // one more, or the four invocations that share a row would write to the same bank
    const COLUMN_QUADS = 16u;
    const GEGLU = ACTIVATION == 4u;
    var<workgroup> row_tile: array<vec4f, 16u * ROW_STRIDE>;
    var<workgroup> column_tile: array<vec4f, 16u * COLUMN_QUADS>;

    fn tiled_product(group: vec3u, groups: vec3u, local: u32) {
      let part = part_of(group, groups);
      let first_row = part.tile * WORKGROUP_SIZE;
      let first_quad = group.x * COLUMN_QUADS;
      let fetch_quad = local % 4u;           // four neighbouring invocations fetch 16 neighbouring numbers
      let fetch_row = local / 4u;
      let fetched = find_rows(first_row + fetch_row * 4u);
      let row = local / 8u;                  // of ROW_QUADS / 2
      let column = local % 8u;               // of COLUMN_QUADS / 2

      var left_sums: Sums;                   // of 8 rows: 4 in the upper half of the tile, 4 in the lower
      var right_sums: Sums;
      for (var quad = part.begin; quad < part.end; quad += 4u) {
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
          if (GEGLU) {
            // Values in the left half of the tile, their gates in the right: one invocation gets both.
            let own = group.x * 8u + i % 8u;
            let half = i / 8u % 2u;
            if (k < uniforms.inner_quads * 4u && own < uniforms.quads) {
              values = vec4f(weight[(k * 2u + half) * uniforms.quads + own]);
            }
          } else if (k < uniforms.inner_quads * 4u && q < uniforms.quads) {
            values = vec4f(weight[k * uniforms.quads + q]);
          }
          column_tile[i] = values;
        }
        workgroupBarrier();
        for (var k = 0u; k < 16u; k++) {
          let upper = row_tile[k * ROW_STRIDE + row];
          let lower = row_tile[k * ROW_STRIDE + row + ROW_QUADS / 2u];
          let left = column_tile[k * COLUMN_QUADS + column];
          let right = column_tile[k * COLUMN_QUADS + column + COLUMN_QUADS / 2u];
          rank1_update(&left_sums, upper, lower, left);
          rank1_update(&right_sums, upper, lower, right);
        }
        workgroupBarrier();
      }
      // A count that the compiler does not know keeps the loop a loop: eight copies of the epilogue took lavapipe 8 s to compile.
      for (var i = 0u; i < uniforms.eight; i++) {
        let r = first_row + row * 4u + i % 4u + (i / 4u) * (WORKGROUP_SIZE / 2u);
        store_quads(left_sums[0], right_sums[0], r, first_quad + column, group);
        shift(&left_sums, vec4f());
        shift(&right_sums, vec4f());
      }
    }`,
});

/** A workgroup sums over all inner numbers and stores y [rows, quads] through the epilogue. */
export const wholeTile = defineSnippet({
  name: "whole_tile",
  needs: [gated],
  wgsl: /* wgsl */ `
    struct Part { tile: u32, begin: u32, end: u32 }

    fn part_of(group: vec3u, groups: vec3u) -> Part { return Part(group.y + group.z * groups.y, 0u, uniforms.inner_quads); }

    fn store_quads(left: vec4f, right: vec4f, row: u32, quad: u32, group: vec3u) {
      if (GEGLU) {
        let own = quad - group.x * 8u;
        if (row < uniforms.rows && own < uniforms.quads) {
          y[row * uniforms.quads + own] = Element4(gated(left, right, own));
        }
      } else {
        store_quad(left, row, quad);
        store_quad(right, row, quad + COLUMN_QUADS / 2u);
      }
    }

    fn store_quad(sum: vec4f, row: u32, quad: u32) {
      if (row < uniforms.rows && quad < uniforms.quads) {
        y[row * uniforms.quads + quad] = Element4(epilogue(sum, bias_of(quad), row, quad));
      }
    }`,
});

/**
 * A workgroup sums over its slice of the inner numbers (grid z; `slice_quads` in fours, a multiple of 4) into `slabs` [slices, rows,
 * columns], both rounded up to whole tiles (`slab_rows`, `slab_quads`): matmul/slabs adds them up.
 */
export const tileSlice = defineSnippet({
  name: "tile_slice",
  wgsl: /* wgsl */ `
    struct Part { tile: u32, begin: u32, end: u32 }

    fn part_of(group: vec3u, groups: vec3u) -> Part {
      let begin = group.z * uniforms.slice_quads;
      return Part(group.y, begin, min(begin + uniforms.slice_quads, uniforms.inner_quads));
    }

    fn store_quads(left: vec4f, right: vec4f, row: u32, quad: u32, group: vec3u) {
      let at = (group.z * uniforms.slab_rows + row) * uniforms.slab_quads + quad;
      slabs[at] = left;
      slabs[at + COLUMN_QUADS / 2u] = right;
    }`,
});

/** Uniforms of the kernels that take tileSlice, beside those of tiledProduct. */
export const sliceUniforms = { slice_quads: "u32", slab_rows: "u32", slab_quads: "u32", eight: "u32" } as const;

/** How a product with too few tiles for a GPU is cut into slices of its inner numbers. */
export interface SlicedTile extends Tile {
  readonly down: number;
  readonly across: number;
  readonly slices: number;
  /** Inner numbers of a slice, in fours. */
  readonly sliceQuads: number;
}

/** Workgroups of 64 invocations that keep a large GPU busy, and inner numbers that a slice must have to be worth its sums' way. */
const enough = { workgroups: 512, inner: 256 } as const;

/** Bytes of one slice's sums, which the second pass reads in one binding with the others'. */
export function slabBytes({ rows, columns, down, across }: Tile & { readonly down: number; readonly across: number }): number {
  return 4 * down * rows * across * columns;
}

/** Undefined where one pass is as good: the output has tiles enough, or there are few inner numbers, or the device is no GPU. */
export function slicedTile(device: Device, rows: number, columns: number, inner: number): SlicedTile | undefined {
  const tile = { rows: 64, columns: 64 };
  const [down, across] = [Math.ceil(rows / tile.rows), Math.ceil(columns / tile.columns)];
  const wanted = Math.min(Math.floor(enough.workgroups / (down * across)), Math.floor(inner / enough.inner), 16);
  if (wanted * slabBytes({ ...tile, down, across }) > device.limits.maxStorageBufferBindingSize) return undefined;
  if (device.tier === "software" || wanted < 4) return undefined;
  const sliceQuads = Math.ceil(inner / wanted / 16) * 4;
  return { ...tile, down, across, sliceQuads, slices: Math.ceil(inner / 4 / sliceQuads) };
}

/** Values of sliceUniforms. */
export function slabUniforms({ sliceQuads, rows, columns, down, across }: SlicedTile) {
  return { slice_quads: sliceQuads, slab_rows: down * rows, slab_quads: (across * columns) / 4, eight: 8 };
}
