// C ← α AᵀB + β C, with A stored k × m and B stored k × n, so that both are read along rows, four numbers at a time.
//
// Layout: offsets and strides of a and b count vec4f; those of c count vec4f too, and C may be stored transposed
// (n × m). Rows start on a vec4f; numbers beyond the last column of C are left as they are. A thread computes 8 × 8
// numbers of C in registers, a workgroup THREADS_I × THREADS_J such tiles. Dispatched by src/linalg/products/matmul.ts, many
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

// Writes an 8 × 8 block of a rows × cols matrix at (row, column), a row in two halves. A loop, not unrolled text: stores
// are a small part of the work, and sixteen copies of them would take a software adapter seconds to compile.
fn store(index: u32, row: u32, column: u32, rows: u32, cols: u32, values: array<vec4f, 16>) {
  var block = values;
  let problem = &problems[index];
  let alpha = (*problem).alpha;
  let beta = (*problem).beta;
  let end = select(16u, (rows - row) * 2u, rows - row < 8u);
  for (var part = 0u; part < end; part++) {
    let j = column + (part & 1u) * 4u;
    if (j >= cols) {
      continue;
    }
    let at = (*problem).cOffset + (row + part / 2u) * (*problem).cStride + j / 4u;
    var result = alpha * block[part];
    if (beta != 0.0) {
      result += beta * c[at];
    }
    if (j + 4u > cols) {
      result = select(c[at], result, vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(cols));
    }
    c[at] = result;
  }
}

@compute @workgroup_size(THREADS_J, THREADS_I)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
) {
  let number = id.x + id.y * count.x;
  // The last problem whose first workgroup is not after this one.
  var index = 0u;
  for (var end = arrayLength(&problems); end - index > 1u;) {
    let middle = (index + end) / 2u;
    let before = problems[middle].first <= number;
    index = select(index, middle, before);
    end = select(middle, end, before);
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
    store(index, i, j, m, n, array(c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51, c60, c61, c70, c71));
  } else {
    let t0 = transpose(mat4x4f(c00, c10, c20, c30));
    let t1 = transpose(mat4x4f(c40, c50, c60, c70));
    let t2 = transpose(mat4x4f(c01, c11, c21, c31));
    let t3 = transpose(mat4x4f(c41, c51, c61, c71));
    store(index, j, i, n, m, array(
      t0[0], t1[0], t0[1], t1[1], t0[2], t1[2], t0[3], t1[3],
      t2[0], t3[0], t2[1], t3[1], t2[2], t3[2], t2[3], t3[3],
    ));
  }
}
