// Of each layer, chunk by chunk: ⟨G, U⟩, ‖G‖², ‖U‖² and, where V counts, ⟨G, V⟩, ⟨U, V⟩, ‖V‖², in one pass over all three; and
// flags[problem.flag] |= problem.bit where U holds a number that is not finite. A thread takes every THREADS-th number of a
// chunk of CHUNK, then a tree over the threads: the same inputs give the same bits. What follows adds the chunks up in their order.
//
// Layout: G, U and V share offsets and strides. The six sums of workgroup w go to `sums` from element
// problem.parts + 6 (w − problem.first) on. Dispatched by src/optimizers/sums.ts, all layers at once.
//
// Written by `npm run shaders` from source/step_sums.wgsl.

struct SumsProblem {
  first: u32,
  rows: u32,
  cols: u32,
  offset: u32,
  stride: u32,
  parts: u32,
  flag: u32,
  bit: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<SumsProblem>;
@group(0) @binding(1) var<storage, read> gradients: array<f32>;
@group(0) @binding(2) var<storage, read> update: array<f32>;
@group(0) @binding(3) var<storage, read> velocity: array<f32>;
@group(0) @binding(4) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

override THREADS: u32 = 64;
// 1 where V counts.
override VELOCITY: u32 = 0;
const CHUNK = 4096u;
// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

var<workgroup> ofG: array<vec3f, THREADS>;
var<workgroup> ofV: array<vec3f, THREADS>;

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
  let chunk = number - problem.first;
  let end = min((chunk + 1u) * CHUNK, problem.rows * problem.cols);
  // The place of e, kept by additions: a division for each number would cost more than the sums.
  let start = chunk * CHUNK + thread;
  var i = start / problem.cols;
  var j = start % problem.cols;
  var largest = 0u;
  var own = vec3f();
  var along = vec3f();
  for (var e = start; e < end; e += THREADS) {
    let at = problem.offset + i * problem.stride + j;
    let g = gradients[at];
    let u = update[at];
    own = fma(vec3f(g, g, u), vec3f(u, g, u), own);
    if (VELOCITY != 0u) {
      let v = velocity[at];
      along = fma(vec3f(g, u, v), vec3f(v), along);
    }
    largest = max(largest, bitcast<u32>(u) & INFINITY);
    i += THREADS / problem.cols;
    j += THREADS % problem.cols;
    if (j >= problem.cols) {
      i++;
      j -= problem.cols;
    }
  }
  if (largest == INFINITY) {
    atomicOr(&flags[problem.flag], problem.bit);
  }
  ofG[thread] = own;
  ofV[thread] = along;
  workgroupBarrier();
  for (var half = THREADS / 2u; half > 0u; half /= 2u) {
    if (thread < half) {
      ofG[thread] += ofG[thread + half];
    }
    workgroupBarrier();
  }
  if (VELOCITY != 0u) {
    for (var half = THREADS / 2u; half > 0u; half /= 2u) {
      if (thread < half) {
        ofV[thread] += ofV[thread + half];
      }
      workgroupBarrier();
    }
  }
  // Workgroups beyond the last chunk belong to nobody.
  if (thread == 0u && chunk * CHUNK < problem.rows * problem.cols) {
    let into = problem.parts + 6u * chunk;
    for (var k = 0u; k < 3u; k++) {
      sums[into + k] = ofG[0][k];
      sums[into + 3u + k] = ofV[0][k];
    }
  }
}
