// s ← β s + α Σ t over rows × cols matrices: a moving mean takes in a batch's sum, which may come in several parts that
// lie one behind the other and are added in their order. With α = 0, t is not read, with β = 0 neither is the old s: they
// may hold numbers that are not finite, and 0 · NaN is NaN.
//
// Layout: any strides, in elements. α and β come from `scales`, one (α, β) a problem, which may be written on the GPU. A
// workgroup blends one row. Dispatched by src/linalg/blend.ts, many problems at once.
//
// Written by `npm run shaders` from source/blend.wgsl.

struct BlendProblem {
  first: u32,
  rows: u32,
  cols: u32,
  parts: u32,
  partLength: u32,
  tOffset: u32,
  tStride: u32,
  sOffset: u32,
  sStride: u32,
  scale: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<BlendProblem>;
@group(0) @binding(1) var<storage, read> scales: array<vec2f>;
@group(0) @binding(2) var<storage, read> t: array<f32>;
@group(0) @binding(3) var<storage, read_write> s: array<f32>;

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
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
  let problem = problems[index];
  let i = number - problem.first;
  if (i >= problem.rows) {
    return;
  }
  let scale = scales[problem.scale];
  let parts = select(problem.parts, 0u, scale.x == 0.0);
  let source = problem.tOffset + i * problem.tStride;
  let into = problem.sOffset + i * problem.sStride;
  for (var j = thread; j < problem.cols; j += THREADS) {
    var sum = 0.0;
    for (var part = 0u; part < parts; part++) {
      sum += t[source + part * problem.partLength + j];
    }
    var result = scale.x * sum;
    if (scale.y != 0.0) {
      result += scale.y * s[into + j];
    }
    s[into + j] = result;
  }
}
