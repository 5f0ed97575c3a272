// Quadratic forms of the examples' loss Hessians Λ in their outputs, over K ≤ 4 directions d_j in them: Σ d_j' Λ d_k for j ≤ k,
// times `scale`, in `parts` sums that are yet to be added up:
// - half squared error:     Λ = I
// - softmax cross entropy:  Λ = diag(p) − pp', so Σ_c p_c (d_jc − m_j)(d_kc − m_k) with m = Σ_c p_c d_c
// - sigmoid cross entropy:  Λ = diag(σ(1 − σ))
// The means m are taken of differences to the likeliest class's d, so that 1 − p keeps its digits where p is almost 1.
//
// Layout: outputs are examples × outputs in `values`; directions lie in `tangents`, K blocks of examples × outputs under each
// other, offsets and strides in elements. Part p of the form of (j, k), over examples p, p + parts …, goes to element
// resultOffset + (j·K + k)·parts + p of `results`. A workgroup makes one part. Dispatched by src/network/loss-curvature.ts.

# bindings("network/loss-curvature", "lossCurvatureLayout");

override THREADS: u32 = 64;

# include("loss_kinds");

var<workgroup> rows: array<vec4f, THREADS>;
var<workgroup> numbers: array<f32, THREADS>;

// Of two outputs (value, index) the larger, of equals the first.
fn larger(a: vec4f, b: vec4f) -> vec4f {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

// Output c of an example along all directions; zero beyond K.
fn along(problem: LossCurvatureProblem, example: u32, c: u32) -> vec4f {
  var d = vec4f();
  var at = problem.tangentOffset + example * problem.tangentStride + c;
  for (var k = 0u; k < problem.directions; k++) {
    d[k] = tangents[at];
    at += problem.examples * problem.tangentStride;
  }
  return d;
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let part = id.x + id.y * count.x;
  if (part >= problem.parts) {
    return;
  }
  var sums = array<vec4f, 4>();
  for (var example = part; example < problem.examples; example += problem.parts) {
    let z = problem.valueOffset + example * problem.valueStride;
    var largest = 0.0;
    var total = 1.0;
    var base = vec4f();
    var mean = vec4f();
    if (problem.kind == SOFTMAX) {
      // A thread without outputs of its own looks at the first.
      var best = vec4f(values[z], 0.0, 0.0, 0.0);
      for (var c = thread; c < problem.outputs; c += THREADS) {
        best = larger(best, vec4f(values[z + c], f32(c), 0.0, 0.0));
      }
      rows[thread] = best;
      workgroupBarrier();
      # include("tree", { shared: "rows", half: "THREADS / 2u", lane: "thread", join: "larger" });
      largest = rows[0].x;
      base = along(problem, example, u32(rows[0].y));
      workgroupBarrier();
      var own = 0.0;
      var sum = vec4f();
      for (var c = thread; c < problem.outputs; c += THREADS) {
        let e = exp(values[z + c] - largest);
        own += e;
        sum += e * (along(problem, example, c) - base);
      }
      numbers[thread] = own;
      rows[thread] = sum;
      workgroupBarrier();
      # include("tree", { shared: "numbers", half: "THREADS / 2u", lane: "thread", join: "sum" });
      # include("tree", { shared: "rows", half: "THREADS / 2u", lane: "thread", join: "sum" });
      total = numbers[0];
      mean = rows[0] / total;
      workgroupBarrier();
    }
    for (var c = thread; c < problem.outputs; c += THREADS) {
      let d = along(problem, example, c) - base - mean;
      var weight = problem.scale;
      if (problem.kind == SOFTMAX) {
        weight *= exp(values[z + c] - largest) / total;
      } else if (problem.kind == SIGMOID) {
        let e = exp(-abs(values[z + c]));
        weight *= e / ((1.0 + e) * (1.0 + e));
      }
      for (var j = 0u; j < problem.directions; j++) {
        sums[j] += weight * d[j] * d;
      }
    }
  }
  for (var j = 0u; j < problem.directions; j++) {
    rows[thread] = sums[j];
    workgroupBarrier();
    # include("tree", { shared: "rows", half: "THREADS / 2u", lane: "thread", join: "sum" });
    if (thread == 0u) {
      for (var k = j; k < problem.directions; k++) {
        results[problem.resultOffset + (j * problem.directions + k) * problem.parts + part] = rows[0][k];
      }
    }
    workgroupBarrier();
  }
}
