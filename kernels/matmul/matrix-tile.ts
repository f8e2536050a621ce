/**
 * @file The product on subgroup matrices (tensor cores), shared by GEMM and convolution, which differ only in where a row's numbers
 * lie. f16 operands, f32 sums. Needs every row of both operands to be whole octets (8 numbers, 16 bytes).
 */
import { defineSnippet, Tensor } from "../../engine/index.ts";
import { gated } from "./epilogue.ts";

/** Shape of a workgroup's work; matrix-plan.ts sets it. */
export const matrixTunables = {
  /** A left matrix is MATRIX_M x MATRIX_K, a right one MATRIX_K x MATRIX_N. */
  MATRIX_M: 8,
  MATRIX_N: 8,
  MATRIX_K: 8,
  /** Lanes of a subgroup. */
  LANES: 32,
  /** Subgroups of a workgroup, down and across. */
  SUBGROUPS_M: 2,
  SUBGROUPS_N: 2,
  /** Result matrices of a subgroup, down and across: 2 or 4. */
  BLOCKS_M: 4,
  BLOCKS_N: 4,
  /** Inner numbers that are staged at once. */
  DEPTH: 16,
  /** An activationCode, or `gegluCode`. */
  ACTIVATION: 0,
} as const;

export const matrixUniforms = {
  rows: "u32",
  /** Columns of the output in fours. */
  quads: "u32",
  /** Columns of the weights in eights. */
  octets: "u32",
  inner: "u32",
  /** Steps of DEPTH inner numbers: all, and those of one slice of the grid's z. */
  steps: "u32",
  slice: "u32",
} as const;

/** Bindings of the operands, read 16 bytes at a time. */
export const matrixOperands = {
  x: { access: "read", type: "u32", vec: 4 },
  weight: { access: "read", type: "u32", vec: 4 },
} as const;

export const matrixFeatures = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"] as const;

/** An f16 tensor's memory as words, for bindings that read it 16 bytes at a time. */
export function words(tensor: Tensor): Tensor {
  return new Tensor(tensor.device, tensor.allocation, [Math.floor(tensor.size / 2)], "u32", tensor.offset);
}

/**
 * `matrix_sums(group, local) -> Sums`: a workgroup's tile of ROWS x COLUMNS, each subgroup BLOCKS_M x BLOCKS_N matrices of it; inner
 * numbers from step group.z * slice on. Both operands are staged in workgroup memory in two buffers, DEPTH inner numbers at a time: while one is
 * multiplied, the loads that will fill the other are under way. Rows of the tiles are 16 bytes longer than their numbers, so that the
 * eight rows that a matrix load touches at once lie in different banks. Offsets and strides count vec4, as the arrays do.
 *
 * Sums are written out and not indexed by a loop: an index that the compiler does not resolve would put them into memory.
 *
 * The kernel declares `struct Row`, `fn find_row(row: u32) -> Row` (rows past the end may repeat others), `fn load_octet(row: Row,
 * octet: u32) -> vec4u` (8 numbers, octet < inner / 8).
 */
export const matrixSums = defineSnippet({
  name: "matrix_sums",
  wgsl: /* wgsl */ `
    alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;              // columns first
    alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
    alias Result = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
    alias ResultRow = array<Result, 4>;
    struct Sums { row0: ResultRow, row1: ResultRow, row2: ResultRow, row3: ResultRow }

    const GEGLU = ACTIVATION == 4u;
    const SUBGROUPS = SUBGROUPS_M * SUBGROUPS_N;
    const INVOCATIONS = LANES * SUBGROUPS;
    const ROWS = SUBGROUPS_M * BLOCKS_M * MATRIX_M;
    const COLUMNS = SUBGROUPS_N * BLOCKS_N * MATRIX_N;

    const LEFT_OCTETS = DEPTH / 8u;                                          // of a row
    const LEFT_STRIDE = DEPTH / 4u + 2u;
    const LEFT_SIZE = ROWS * LEFT_STRIDE;
    const LEFT_FETCHES = ROWS * LEFT_OCTETS / INVOCATIONS;                   // of an invocation
    const RIGHT_OCTETS = COLUMNS / 8u;
    const RIGHT_STRIDE = COLUMNS / 4u + 2u;
    const RIGHT_SIZE = DEPTH * RIGHT_STRIDE;
    const RIGHT_FETCHES = DEPTH * RIGHT_OCTETS / INVOCATIONS;
    var<workgroup> left_tile: array<vec4<f16>, 2u * LEFT_SIZE>;
    var<workgroup> right_tile: array<vec4<f16>, 2u * RIGHT_SIZE>;

    struct Fetched { left: array<vec4u, LEFT_FETCHES>, right: array<vec4u, RIGHT_FETCHES> }

    // Octet of the weights' rows that octet i of the tile's comes from.
    fn weight_octet(group: vec3u, i: u32) -> u32 {
      if (!GEGLU) { return group.x * RIGHT_OCTETS + i; }
      // Matrices of values and of their gates stand in turn, so that one subgroup has both.
      let matrix = i / (MATRIX_N / 8u);
      let value = group.x * (RIGHT_OCTETS / 2u) + (matrix / 2u) * (MATRIX_N / 8u) + i % (MATRIX_N / 8u);
      return select(uniforms.octets, value + (matrix % 2u) * (uniforms.octets / 2u), value < uniforms.octets / 2u);
    }

    fn fetch(rows: array<Row, LEFT_FETCHES>, group: vec3u, local: u32, step: u32) -> Fetched {
      var fetched = Fetched();
      let octet = step * LEFT_OCTETS + local % LEFT_OCTETS;
      for (var i = 0u; i < LEFT_FETCHES; i++) {
        if (octet < uniforms.inner / 8u) { fetched.left[i] = load_octet(rows[i], octet); }
      }
      let column = weight_octet(group, local % RIGHT_OCTETS);
      for (var i = 0u; i < RIGHT_FETCHES; i++) {
        let k = step * DEPTH + local / RIGHT_OCTETS + i * (INVOCATIONS / RIGHT_OCTETS);
        if (k < uniforms.inner && column < uniforms.octets) { fetched.right[i] = weight[k * uniforms.octets + column]; }
      }
      return fetched;
    }

    fn put(fetched: Fetched, local: u32, buffer: u32) {
      for (var i = 0u; i < LEFT_FETCHES; i++) {
        let row = local / LEFT_OCTETS + i * (INVOCATIONS / LEFT_OCTETS);
        let at = buffer * LEFT_SIZE + row * LEFT_STRIDE + 2u * (local % LEFT_OCTETS);
        left_tile[at] = bitcast<vec4<f16>>(fetched.left[i].xy);
        left_tile[at + 1u] = bitcast<vec4<f16>>(fetched.left[i].zw);
      }
      for (var i = 0u; i < RIGHT_FETCHES; i++) {
        let k = local / RIGHT_OCTETS + i * (INVOCATIONS / RIGHT_OCTETS);
        let at = buffer * RIGHT_SIZE + k * RIGHT_STRIDE + 2u * (local % RIGHT_OCTETS);
        right_tile[at] = bitcast<vec4<f16>>(fetched.right[i].xy);
        right_tile[at + 1u] = bitcast<vec4<f16>>(fetched.right[i].zw);
      }
    }

    fn load_left(at: u32, block: u32) -> Left {
      return subgroupMatrixLoad<Left, row_major>(&left_tile, at + block * MATRIX_M * LEFT_STRIDE, LEFT_STRIDE);
    }

    fn load_right(at: u32, block: u32) -> Right {
      return subgroupMatrixLoad<Right, row_major>(&right_tile, at + block * MATRIX_N / 4u, RIGHT_STRIDE);
    }

    fn add_row(sums: ptr<function, ResultRow>, a: Left, b: array<Right, 4>) {
      (*sums)[0] = subgroupMatrixMultiplyAccumulate(a, b[0], (*sums)[0]);
      (*sums)[1] = subgroupMatrixMultiplyAccumulate(a, b[1], (*sums)[1]);
      if (BLOCKS_N == 2u) { return; }
      (*sums)[2] = subgroupMatrixMultiplyAccumulate(a, b[2], (*sums)[2]);
      (*sums)[3] = subgroupMatrixMultiplyAccumulate(a, b[3], (*sums)[3]);
    }

    fn matrix_sums(group: vec3u, local: u32) -> Sums {
      let begin = group.z * uniforms.slice;
      let end = min(begin + uniforms.slice, uniforms.steps);
      let subgroup = local / LANES;
      let left_at = (subgroup / SUBGROUPS_N) * BLOCKS_M * MATRIX_M * LEFT_STRIDE;
      let right_at = (subgroup % SUBGROUPS_N) * BLOCKS_N * MATRIX_N / 4u;
      var rows: array<Row, LEFT_FETCHES>;
      for (var i = 0u; i < LEFT_FETCHES; i++) {
        rows[i] = find_row(group.y * ROWS + local / LEFT_OCTETS + i * (INVOCATIONS / LEFT_OCTETS));
      }

      var row0: ResultRow;
      var row1: ResultRow;
      var row2: ResultRow;
      var row3: ResultRow;
      for (var step = begin; step <= end; step++) {                          // fetches step, multiplies the one before it
        var fetched = Fetched();
        if (step < end) { fetched = fetch(rows, group, local, step); }
        if (step > begin) {
          let buffer = (step - begin - 1u) % 2u;
          for (var k = 0u; k < DEPTH / MATRIX_K; k++) {
            let a = buffer * LEFT_SIZE + left_at + k * MATRIX_K / 4u;
            let b_at = buffer * RIGHT_SIZE + right_at + k * MATRIX_K * RIGHT_STRIDE;
            var b = array<Right, 4>();
            b[0] = load_right(b_at, 0u);
            b[1] = load_right(b_at, 1u);
            if (BLOCKS_N > 2u) {
              b[2] = load_right(b_at, 2u);
              b[3] = load_right(b_at, 3u);
            }
            add_row(&row0, load_left(a, 0u), b);
            add_row(&row1, load_left(a, 1u), b);
            if (BLOCKS_M > 2u) {
              add_row(&row2, load_left(a, 2u), b);
              add_row(&row3, load_left(a, 3u), b);
            }
          }
        }
        if (step < end) { put(fetched, local, (step - begin) % 2u); }
        workgroupBarrier();
      }
      return Sums(row0, row1, row2, row3);
    }`,
});

/** `first_place(group, local) -> Place`: where a subgroup's matrices lie in the output, in rows and fours of columns. */
const places = defineSnippet({
  name: "places",
  needs: [matrixSums],
  wgsl: /* wgsl */ `
    struct Place { row: u32, quad: u32 }

    fn first_place(group: vec3u, local: u32) -> Place {
      let subgroup = local / LANES;
      let quad = (group.x * COLUMNS + (subgroup % SUBGROUPS_N) * BLOCKS_N * MATRIX_N) / 4u;
      return Place(group.y * ROWS + (subgroup / SUBGROUPS_N) * BLOCKS_M * MATRIX_M, select(quad, quad / 2u, GEGLU));
    }`,
});

/**
 * `store_tile(sums, group, local)`: the epilogue. The numbers of a result matrix can't be touched, so a subgroup's matrices go
 * through workgroup memory, two side by side at a time (a matrix of values and that of their gates, where GEGLU). Needs the snippet
 * epilogue, `sample_of(row)`, and y, vec4 of f16.
 */
export const storeTile = defineSnippet({
  name: "store_tile",
  needs: [places, gated],
  wgsl: /* wgsl */ `
    const MATRIX_QUADS = MATRIX_N / 4u;                                      // of a result matrix's row
    const STORED_QUADS = select(2u * MATRIX_QUADS, MATRIX_QUADS, GEGLU);     // of the output, from a row of two matrices
    const PATCH_STRIDE = 2u * MATRIX_QUADS + 1u;
    var<workgroup> patches: array<vec4f, SUBGROUPS * MATRIX_M * PATCH_STRIDE>;

    fn store_pair(left: Result, right: Result, place: Place, local: u32) {
      let patch_at = (local / LANES) * MATRIX_M * PATCH_STRIDE;
      subgroupMatrixStore<row_major>(&patches, patch_at, left, PATCH_STRIDE);
      subgroupMatrixStore<row_major>(&patches, patch_at + MATRIX_QUADS, right, PATCH_STRIDE);
      workgroupBarrier();
      for (var i = local % LANES; i < MATRIX_M * STORED_QUADS; i += LANES) {
        let at = patch_at + (i / STORED_QUADS) * PATCH_STRIDE + i % STORED_QUADS;
        let row = place.row + i / STORED_QUADS;
        let quad = place.quad + i % STORED_QUADS;
        if (row < uniforms.rows && quad < uniforms.quads) {
          var value: vec4f;
          if (GEGLU) {
            value = gated(patches[at], patches[at + MATRIX_QUADS], quad);
          } else {
            value = epilogue(patches[at], bias_of(quad), row, quad);
          }
          y[row * uniforms.quads + quad] = vec4<f16>(value);
        }
      }
      workgroupBarrier();
    }

    fn store_tile(sums: Sums, group: vec3u, local: u32) {
      var rest = sums;
      var place = first_place(group, local);
      for (var i = 0u; i < BLOCKS_M; i++) {
        store_pair(rest.row0[0], rest.row0[1], place, local);
        if (BLOCKS_N > 2u) { store_pair(rest.row0[2], rest.row0[3], Place(place.row, place.quad + STORED_QUADS), local); }
        rest = Sums(rest.row1, rest.row2, rest.row3, rest.row3);
        place.row += MATRIX_M;
      }
    }`,
});

/**
 * `store_slab(sums, group, local)`: the sums as they are, into this slice's part of `slabs` [slices, rows, columns] (f32, both
 * rounded up to whole tiles): matmul/slabs adds them up.
 */
export const storeSlab = defineSnippet({
  name: "store_slab",
  needs: [places],
  wgsl: /* wgsl */ `
    fn store_row(row: ResultRow, place: Place, at: u32, stride: u32) {
      let i = at + place.row * stride + place.quad;
      subgroupMatrixStore<row_major>(&slabs, i, row[0], stride);
      subgroupMatrixStore<row_major>(&slabs, i + MATRIX_N / 4u, row[1], stride);
      if (BLOCKS_N > 2u) {
        subgroupMatrixStore<row_major>(&slabs, i + 2u * MATRIX_N / 4u, row[2], stride);
        subgroupMatrixStore<row_major>(&slabs, i + 3u * MATRIX_N / 4u, row[3], stride);
      }
    }

    fn store_slab(sums: Sums, group: vec3u, groups: vec3u, local: u32) {
      let first = first_place(group, local);
      let stride = groups.x * COLUMNS / 4u;
      let at = group.z * groups.y * ROWS * stride;
      store_row(sums.row0, first, at, stride);
      store_row(sums.row1, Place(first.row + MATRIX_M, first.quad), at, stride);
      if (BLOCKS_M > 2u) {
        store_row(sums.row2, Place(first.row + 2u * MATRIX_M, first.quad), at, stride);
        store_row(sums.row3, Place(first.row + 3u * MATRIX_M, first.quad), at, stride);
      }
    }`,
});
