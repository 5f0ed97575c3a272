// Trial dampings of K-FAC's factors, beside the block's own (factor_state): what λ is judged by. Two kernels:
//
// damp   before the inversions: as factor_state's, with λ times the problem's multiplier and the layer's boost; what a layer keeps
//        is read and left as it is.
// judge  after them: outcome[trial] gets the bits of the layers that have no inverse.
//
// Layout: a problem of damp is a trial and a layer, number `index` of the block, one of judge a trial, number `index`, whose
// `layers` pairs of status words begin at `place`.
// A thread serves one problem. Dispatched by src/curvature/blocks/factor-trials.ts.

# bindings("curvature/blocks/factor-trials", "factorTrialsLayout");

const FAILED = 3u;
const NOT_POSITIVE = 1u;

# include("given_damping");
# include("usable_trace");
# include("split_damping");

@compute @workgroup_size(64)
fn damp(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  let layer = layers[problem.entry];
  if (layer.countA == 0u || layer.countB == 0u) {
    status[problem.place] = vec2u(NOT_POSITIVE);
    return;
  }
  let lambda = given_damping(problem.stored, problem.word) * problem.multiplier * layer.boost;
  let pi = split(traces[problem.index].x / problem.sizeA, traces[problem.index].y / problem.sizeB, layer.pi);
  dampings[problem.place] = vec2f(pi, 1.0 / pi) * sqrt(lambda);
  status[problem.place] = vec2u();
}

@compute @workgroup_size(64)
fn judge(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[id.x];
  var bits = 0u;
  for (var l = 0u; l < problem.layers; l++) {
    let word = status[problem.place + l];
    bits |= word.x | word.y;
  }
  outcome[problem.index] |= bits & FAILED;
}
