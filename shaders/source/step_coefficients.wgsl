// ν = min(1, √(κ / (η² Σ ⟨G, U⟩))) over the layers that may step: those whose flag is 0 and whose words of `ready` are all 1.
// coefficients[l] ← ν for them and 0 for the others, which are counted. κ = 0 means no clip. Where the clip's sum is not
// finite, so that there is no telling how long the step is, ν is 0 and all are counted. `applied` receives η, μ and ηω.
//
// Layout: a row of `layers` says where a layer's flag, its words and the parts of its sums are. `sums` receives ⟨G, U⟩, ‖G‖² and
// ‖U‖² of each, of which one thread then makes the rest. One workgroup. Dispatched by src/optimizers/tail.ts; optimisers that are
// controlled on the GPU have step_plan.wgsl in its place.

# bindings("optimizers/tail", "stepCoefficientsLayout");

override THREADS: u32 = 64;

# include("finite");
# include("step_totals");
# include("may_step");
# include("verdicts");

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
  # include("total_sums", { kinds: "3u", threads: "THREADS" });
  var result = counted();
  var inner = 0.0;
  for (var l = 0u; l < arrayLength(&layers); l++) {
    if (may_step(layers[l])) {
      inner += sums[SUMS * l + INNER];
    }
  }
  result.clip = 1.0;
  if (settings.klClip > 0.0) {
    let norm = settings.learningRate * settings.learningRate * inner;
    if (!finite(norm)) {
      result.clip = 0.0;
      result.skipped = arrayLength(&layers);
    } else if (norm > settings.klClip) {
      result.clip = sqrt(settings.klClip / norm);
    }
  }
  for (var l = 0u; l < arrayLength(&layers); l++) {
    coefficients[l] = select(0.0, result.clip, may_step(layers[l]));
  }
  outcome[0] = result;
  applied[0] = AppliedStep(
    settings.learningRate,
    settings.momentum,
    TAKEN,
    settings.velocity,
    0u,
    settings.learningRate * settings.decoupled,
  );
}
