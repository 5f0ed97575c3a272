// Q ← H_0 H_1 … H_(n−3), the reflections of eigh_tridiagonal.wgsl, row by row: r ← r − β_k (r u_k) u_k' for each k. The
// product with the next reflector is summed up in the pass that applies this one.
//
// Layout: Q' is stored, size × size in vec4f, over E; a thread owns four rows of Q, which are four numbers in each row of
// Q'. Reflectors and β as eigh_tridiagonal.wgsl leaves them. Offsets in f32. Dispatched by src/linalg/eigh.ts, many
// matrices at once; no thread waits for another.

# bindings("linalg/eigh-kernels", "basisLayout");

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  # include("find_problem");
  let problem = problems[index];
  let groups = problem.size / 4u;
  let g = (number - problem.first) * THREADS + thread;
  if (g >= groups) {
    return;
  }
  let q = problem.matrixOffset / 4u + g;
  let beta = 3u * problem.vectorOffset + 2u * problem.size;
  for (var j = 0u; j < problem.size; j++) {
    work[q + j * groups] = select(vec4f(), vec4f(1.0), vec4u(j) == vec4u(4u * g) + vec4u(0u, 1u, 2u, 3u));
  }
  var u = problem.reflectorOffset / 4u + groups;
  var product = reflectors[u + g];
  for (var k = 0u; k + 2u < problem.n; k++) {
    let v = u + groups;
    let factor = -tridiagonal[beta + k] * product;
    product = vec4f();
    for (var h = (k + 1u) / 4u; h < groups; h++) {
      let uh = reflectors[u + h];
      let vh = reflectors[v + h];
      let at = q + 4u * h * groups;
      let q0 = fma(vec4f(uh.x), factor, work[at]);
      let q1 = fma(vec4f(uh.y), factor, work[at + groups]);
      let q2 = fma(vec4f(uh.z), factor, work[at + 2u * groups]);
      let q3 = fma(vec4f(uh.w), factor, work[at + 3u * groups]);
      work[at] = q0;
      work[at + groups] = q1;
      work[at + 2u * groups] = q2;
      work[at + 3u * groups] = q3;
      product = fma(vec4f(vh.x), q0, product);
      product = fma(vec4f(vh.y), q1, product);
      product = fma(vec4f(vh.z), q2, product);
      product = fma(vec4f(vh.w), q3, product);
    }
    u = v;
  }
}
