// Two contractions of stacked columns b with rows z of the same length, for the curvature of a linear layer:
// - project:  y[c, e] = Σ_t ⟨b[c, e, t], z[e, t]⟩
// - weigh:    z[e, t] = Σ_c y[c, e] b[c, e, t]
// e counts examples, c columns of each, t the positions that project sums over. Both add in a fixed order.
//
// Layout: b[c, e, t] is row c·bColumn + (e / share)·bExample + t·bPosition of b, z[e, t] row e·zExample + t·zPosition of
// z, y[c, e] number yOffset + c·examples + e of y. Rows start on a vec4f; offsets and strides of rows count vec4f, the length of a
// row does not; what weigh writes beyond it is arbitrary. LANES threads share a sum of project, a workgroup of THREADS
// does THREADS / LANES of them; a thread of weigh writes four numbers. Dispatched by src/curvature/kernels/contract.ts.

# bindings("curvature/kernels/contract", "contractLayout");

override THREADS: u32 = 64;
override LANES: u32 = 1;

var<workgroup> sums: array<f32, THREADS>;

// Four products, those beyond the end of the row left out.
fn products(bAt: u32, zAt: u32, quad: u32) -> vec4f {
  let first = 4u * quad;
  let inside = vec4u(first, first + 1u, first + 2u, first + 3u) < vec4u(problems[0].length);
  return select(vec4f(), b[bAt + quad] * z[zAt + quad], inside);
}

@compute @workgroup_size(THREADS)
fn project(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = (id.x + id.y * count.x) * (THREADS / LANES) + thread / LANES;
  let lane = thread % LANES;
  let inside = number < problem.columns * problem.examples;
  let quads = (problem.length + 3u) / 4u;
  let bStep = problem.bPosition * problem.bStride;
  let zStep = problem.zPosition * problem.zStride;
  var sum = vec4f();
  if (inside) {
    let c = number / problem.examples;
    let e = number % problem.examples;
    var bRow = problem.bOffset + (c * problem.bColumn + (e / problem.share) * problem.bExample) * problem.bStride;
    var zRow = problem.zOffset + e * problem.zExample * problem.zStride;
    if (LANES == 1u) {
      for (var t = 0u; t < problem.positions; t++) {
        for (var quad = 0u; quad < quads; quad++) {
          sum += products(bRow, zRow, quad);
        }
        bRow += bStep;
        zRow += zStep;
      }
    } else {
      for (var item = lane; item < problem.positions * quads; item += LANES) {
        let t = item / quads;
        sum += products(bRow + t * bStep, zRow + t * zStep, item % quads);
      }
    }
  }
  var whole = sum.x + sum.y + sum.z + sum.w;
  if (LANES > 1u) {
    sums[thread] = whole;
    workgroupBarrier();
    # include("tree", { shared: "sums", half: "LANES / 2u", lane: "lane", join: "sum" });
    whole = sums[thread];
  }
  if (inside && lane == 0u) {
    projected[problem.yOffset + number] = whole;
  }
}

@compute @workgroup_size(THREADS)
fn weigh(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = (id.x + id.y * count.x) * THREADS + thread;
  let quads = (problem.length + 3u) / 4u;
  let quad = number % quads;
  let t = (number / quads) % problem.positions;
  let e = number / quads / problem.positions;
  if (e >= problem.examples) {
    return;
  }
  let step = problem.bColumn * problem.bStride;
  var at = problem.bOffset + quad +
    ((e / problem.share) * problem.bExample + t * problem.bPosition) * problem.bStride;
  var sum = vec4f();
  for (var c = 0u; c < problem.columns; c++) {
    sum = fma(vec4f(y[problem.yOffset + c * problem.examples + e]), b[at], sum);
    at += step;
  }
  weighed[problem.zOffset + quad + (e * problem.zExample + t * problem.zPosition) * problem.zStride] = sum;
}
