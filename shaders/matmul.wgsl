// C ← α AᵀB + β C, with A stored k × m and B stored k × n, so that both are read along rows, four numbers at a time.
//
// Layout: offsets and strides of a and b count vec4f; those of c count vec4f too, and C may be stored transposed
// (n × m). Rows start on a vec4f; numbers beyond the last column of C are left as they are. A thread computes 8 × 8
// numbers of C in registers, a workgroup THREADS_I × THREADS_J such tiles. Dispatched by src/linalg/matmul.ts, many
// problems at once.

struct MatmulProblem {
  first: u32,
  tileCols: u32,
  m: u32,
  n: u32,
  k: u32,
  aOffset: u32,
  aStride: u32,
  bOffset: u32,
  bStride: u32,
  cOffset: u32,
  cStride: u32,
  transposed: u32,
  alpha: f32,
  beta: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<MatmulProblem>;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> c: array<vec4f>;

override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

// Writes four numbers of row `row` of the stored C, from column `column` on; `rows` × `cols` is its stored shape.
fn store(index: u32, row: u32, column: u32, rows: u32, cols: u32, value: vec4f) {
  if (row >= rows || column >= cols) {
    return;
  }
  let problem = &problems[index];
  let at = (*problem).cOffset + row * (*problem).cStride + column / 4u;
  let beta = (*problem).beta;
  var result = (*problem).alpha * value;
  if (beta != 0.0) {
    result += beta * c[at];
  }
  if (column + 4u > cols) {
    result = select(c[at], result, vec4u(column, column + 1u, column + 2u, column + 3u) < vec4u(cols));
  }
  c[at] = result;
}

@compute @workgroup_size(THREADS_J, THREADS_I)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
) {
  let number = id.x + id.y * count.x;
  var index = 0u;
  for (var next = 1u; next < arrayLength(&problems) && problems[next].first <= number; next++) {
    index = next;
  }
  let problem = &problems[index];
  let m = (*problem).m;
  let n = (*problem).n;
  let tile = number - (*problem).first;
  let i = ((tile / (*problem).tileCols) * THREADS_I + thread.y) * 8u;
  let j = ((tile % (*problem).tileCols) * THREADS_J + thread.x) * 8u;
  if (i >= m || j >= n) {
    return;
  }

  var c00 = vec4f(); var c01 = vec4f();
  var c10 = vec4f(); var c11 = vec4f();
  var c20 = vec4f(); var c21 = vec4f();
  var c30 = vec4f(); var c31 = vec4f();
  var c40 = vec4f(); var c41 = vec4f();
  var c50 = vec4f(); var c51 = vec4f();
  var c60 = vec4f(); var c61 = vec4f();
  var c70 = vec4f(); var c71 = vec4f();
  let aStride = (*problem).aStride;
  let bStride = (*problem).bStride;
  let k = (*problem).k;
  var ai = (*problem).aOffset + i / 4u;
  var bj = (*problem).bOffset + j / 4u;
  for (var step = 0u; step < k; step++) {
    let b0 = b[bj];
    let b1 = b[bj + 1u];
    let a0 = a[ai];
    let a1 = a[ai + 1u];
    c00 = fma(vec4f(a0.x), b0, c00); c01 = fma(vec4f(a0.x), b1, c01);
    c10 = fma(vec4f(a0.y), b0, c10); c11 = fma(vec4f(a0.y), b1, c11);
    c20 = fma(vec4f(a0.z), b0, c20); c21 = fma(vec4f(a0.z), b1, c21);
    c30 = fma(vec4f(a0.w), b0, c30); c31 = fma(vec4f(a0.w), b1, c31);
    c40 = fma(vec4f(a1.x), b0, c40); c41 = fma(vec4f(a1.x), b1, c41);
    c50 = fma(vec4f(a1.y), b0, c50); c51 = fma(vec4f(a1.y), b1, c51);
    c60 = fma(vec4f(a1.z), b0, c60); c61 = fma(vec4f(a1.z), b1, c61);
    c70 = fma(vec4f(a1.w), b0, c70); c71 = fma(vec4f(a1.w), b1, c71);
    ai += aStride;
    bj += bStride;
  }

  if ((*problem).transposed == 0u) {
    store(index, i, j, m, n, c00); store(index, i, j + 4u, m, n, c01);
    store(index, i + 1u, j, m, n, c10); store(index, i + 1u, j + 4u, m, n, c11);
    store(index, i + 2u, j, m, n, c20); store(index, i + 2u, j + 4u, m, n, c21);
    store(index, i + 3u, j, m, n, c30); store(index, i + 3u, j + 4u, m, n, c31);
    store(index, i + 4u, j, m, n, c40); store(index, i + 4u, j + 4u, m, n, c41);
    store(index, i + 5u, j, m, n, c50); store(index, i + 5u, j + 4u, m, n, c51);
    store(index, i + 6u, j, m, n, c60); store(index, i + 6u, j + 4u, m, n, c61);
    store(index, i + 7u, j, m, n, c70); store(index, i + 7u, j + 4u, m, n, c71);
  } else {
    let t00 = transpose(mat4x4f(c00, c10, c20, c30));
    let t01 = transpose(mat4x4f(c40, c50, c60, c70));
    let t10 = transpose(mat4x4f(c01, c11, c21, c31));
    let t11 = transpose(mat4x4f(c41, c51, c61, c71));
    store(index, j, i, n, m, t00[0]); store(index, j, i + 4u, n, m, t01[0]);
    store(index, j + 1u, i, n, m, t00[1]); store(index, j + 1u, i + 4u, n, m, t01[1]);
    store(index, j + 2u, i, n, m, t00[2]); store(index, j + 2u, i + 4u, n, m, t01[2]);
    store(index, j + 3u, i, n, m, t00[3]); store(index, j + 3u, i + 4u, n, m, t01[3]);
    store(index, j + 4u, i, n, m, t10[0]); store(index, j + 4u, i + 4u, n, m, t11[0]);
    store(index, j + 5u, i, n, m, t10[1]); store(index, j + 5u, i + 4u, n, m, t11[1]);
    store(index, j + 6u, i, n, m, t10[2]); store(index, j + 6u, i + 4u, n, m, t11[2]);
    store(index, j + 7u, i, n, m, t10[3]); store(index, j + 7u, i + 4u, n, m, t11[3]);
  }
}
