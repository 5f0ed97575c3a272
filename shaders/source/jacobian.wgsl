// Jacobians J_k = Σ_t b[c, e, t] a[e, t]' of examples e and columns c, k = c·E + e, out × in each:
// - form:    out[o·outRow + (k − first)·outExample + i·outColumn] ← J_k[o, i], for k = first … first + count − 1
// - moments: out[o·outRow + i] ← scale · Σ_k J_k[o, i]²
//
// Layout: a[e, t] is row e·T + t of a, b[c, e, t] row (c·E + e)·T + t of b. Offsets and strides of a and b count vec4f,
// those of out elements. A thread computes 4 × 4 numbers. Dispatched by src/curvature/kernels/jacobian.ts.

# bindings("curvature/kernels/jacobian", "jacobianLayout", {
#   tile: "16: a bound that a software adapter cannot see, so that it does not unroll the stores.",
# });

override THREADS: u32 = 64;

// Rows o … o + 3 and columns i … i + 3 of J_k, one row a column of the result.
fn block(k: u32, o: u32, i: u32) -> mat4x4f {
  let problem = &problems[0];
  let T = (*problem).positions;
  var aRow = (*problem).aOffset + (k % (*problem).examples) * T * (*problem).aStride + i / 4u;
  var bRow = (*problem).bOffset + k * T * (*problem).bStride + o / 4u;
  var sum = mat4x4f();
  for (var t = 0u; t < T; t++) {
    let right = a[aRow];
    let left = b[bRow];
    sum[0] = fma(vec4f(left.x), right, sum[0]);
    sum[1] = fma(vec4f(left.y), right, sum[1]);
    sum[2] = fma(vec4f(left.z), right, sum[2]);
    sum[3] = fma(vec4f(left.w), right, sum[3]);
    aRow += (*problem).aStride;
    bRow += (*problem).bStride;
  }
  return sum;
}

fn store(values: mat4x4f, o: u32, i: u32, start: u32, column: u32) {
  var own = values;
  for (var e = 0u; e < problems[0].tile; e++) {
    let row = o + e / 4u;
    let j = i + e % 4u;
    if (row < problems[0].rows && j < problems[0].cols) {
      out[start + row * problems[0].outRow + j * column] = own[e / 4u][e % 4u];
    }
  }
}

@compute @workgroup_size(THREADS)
fn form(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = (id.x + id.y * count.x) * THREADS + thread;
  let tileCols = (problems[0].cols + 3u) / 4u;
  let tiles = tileCols * ((problems[0].rows + 3u) / 4u);
  let k = number / tiles;
  if (k >= problems[0].count) {
    return;
  }
  let o = (number % tiles) / tileCols * 4u;
  let i = (number % tiles) % tileCols * 4u;
  let start = problems[0].outOffset + k * problems[0].outExample;
  store(block(problems[0].first + k, o, i), o, i, start, problems[0].outColumn);
}

@compute @workgroup_size(THREADS)
fn moments(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = (id.x + id.y * count.x) * THREADS + thread;
  let tileCols = (problems[0].cols + 3u) / 4u;
  let o = number / tileCols * 4u;
  let i = number % tileCols * 4u;
  if (o >= problems[0].rows) {
    return;
  }
  var sum = mat4x4f();
  for (var k = 0u; k < problems[0].count; k++) {
    let J = block(problems[0].first + k, o, i);
    sum[0] = fma(J[0], J[0], sum[0]);
    sum[1] = fma(J[1], J[1], sum[1]);
    sum[2] = fma(J[2], J[2], sum[2]);
    sum[3] = fma(J[3], J[3], sum[3]);
  }
  store(problems[0].scale * sum, o, i, problems[0].outOffset, 1u);
}
