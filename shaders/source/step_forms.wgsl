// The quadratic forms of two directions D, V in the curvature of a batch: with y_l[d, k] the derivative of layer l's weights
// along direction d seen by curvature column k, results ← α Σ_k y_D y_D, α Σ_k y_D y_V twice, α Σ_k y_V y_V, where
// y_d[k] = Σ_l y_l[d, k]. With exact columns that is D'GD of the generalised Gauss-Newton matrix G over the whole
// network, blocks between layers counted (Martens & Grosse 2015, section 7); with Monte-Carlo columns an unbiased estimate.
//
// Layout: y_l[d, k] is number (d · layers + l) · columns + k. One workgroup, summed in a fixed order. Dispatched by
// src/optimizers/control/forms.ts.

# bindings("optimizers/control/forms", "stepFormsLayout");

override THREADS: u32 = 256;

var<workgroup> dd: array<f32, THREADS>;
var<workgroup> dv: array<f32, THREADS>;
var<workgroup> vv: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  let problem = problems[0];
  var sums = vec3f();
  for (var k = thread; k < problem.columns; k += THREADS) {
    var d = 0.0;
    var v = 0.0;
    for (var l = 0u; l < problem.layers; l++) {
      d += y[l * problem.columns + k];
      v += y[(problem.layers + l) * problem.columns + k];
    }
    sums += vec3f(d * d, d * v, v * v);
  }
  dd[thread] = sums.x;
  dv[thread] = sums.y;
  vv[thread] = sums.z;
  workgroupBarrier();
  # include("tree", { shared: "dd", half: "THREADS / 2u", lane: "thread", join: "sum" });
  # include("tree", { shared: "dv", half: "THREADS / 2u", lane: "thread", join: "sum" });
  # include("tree", { shared: "vv", half: "THREADS / 2u", lane: "thread", join: "sum" });
  if (thread == 0u) {
    results[problem.result] = problem.scale * dd[0];
    results[problem.result + 1u] = problem.scale * dv[0];
    results[problem.result + 2u] = problem.scale * dv[0];
    results[problem.result + 3u] = problem.scale * vv[0];
  }
}
