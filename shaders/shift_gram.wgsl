// S ← Σ aa' over the patches a of a convolution with stride 1, the bias's 1 behind each, put together from correlations of
// whole image lines: S[(c,u), (c',v)] = Σ_y Σ_x a_c(y, x) a_c'(y + δy, x + δx), δ = v − u, over the pixels that lie under
// tap u at some position. For each line y they come from `correlations`: the sum over all x, and the terms of the first and
// the last EDGE columns alone, which are taken off where tap u does not reach them.
//
// Layout: columns of S are ordered (channel, ky, kx), S in elements. correlations holds, for (y, δy, part), channels rows of
// (2·kx − 1) · pixel numbers, column (δx + kx − 1) · pixel + c'; part 0 is the whole line, then come the edge columns from
// left to right. Of pairs of taps only those with δ ≥ 0, line by line, are there: S is symmetric. Elsewhere in there, from sumOffset
// on, Σ a is a column with a row for each column of S. A workgroup makes a row of S up to the diagonal, and its mirror image.
// Dispatched by src/layers/conv/shift-gram.ts, many convolutions at once.
//
// Written by `npm run shaders` from source/shift_gram.wgsl.

struct ShiftGramProblem {
  first: u32,
  channels: u32,
  pixel: u32,
  height: u32,
  width: u32,
  outHeight: u32,
  outWidth: u32,
  kernel: vec2u,
  padding: vec2u,
  edge: u32,
  bias: u32,
  count: f32,
  correlationOffset: u32,
  sumOffset: u32,
  sumStride: u32,
  sOffset: u32,
  sStride: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<ShiftGramProblem>;
@group(0) @binding(1) var<storage, read> correlations: array<f32>;
@group(0) @binding(2) var<storage, read_write> s: array<f32>;

override THREADS: u32 = 64;

struct Tap {
  channel: u32,
  y: u32,
  x: u32,
}

fn tapOf(problem: ShiftGramProblem, column: u32) -> Tap {
  let taps = problem.kernel.x * problem.kernel.y;
  let tap = column % taps;
  return Tap(column / taps, tap / problem.kernel.y, tap % problem.kernel.y);
}

// a − b, but 0 where that is negative.
fn less(a: u32, b: u32) -> u32 {
  return max(a, b) - b;
}

// Σ over the pixels under tap u, which is not after v.
fn correlation(problem: ShiftGramProblem, u: Tap, v: Tap) -> f32 {
  let deltaY = v.y - u.y;
  let parts = 1u + 2u * problem.edge;
  let line = (2u * problem.kernel.y - 1u) * problem.pixel;
  let slot = problem.channels * line;
  let place = problem.correlationOffset + u.channel * line + (v.x + problem.kernel.y - 1u - u.x) * problem.pixel + v.channel;
  // Lines and columns under the tap, those outside the image left out, as are lines whose partner lies outside.
  let top = less(u.y, problem.padding.x);
  let bottom = min(less(problem.outHeight + u.y, problem.padding.x), less(problem.height, deltaY));
  let left = min(less(u.x, problem.padding.y), problem.width);
  let right = min(less(problem.outWidth + u.x, problem.padding.y), problem.width);
  var sum = 0.0;
  for (var y = top; y < bottom; y++) {
    let first = (y * problem.kernel.x + deltaY) * parts * slot + place;
    var value = correlations[first];
    for (var x = 0u; x < left; x++) {
      value -= correlations[first + (1u + x) * slot];
    }
    for (var x = right; x < problem.width; x++) {
      value -= correlations[first + (1u + 2u * problem.edge + x - problem.width) * slot];
    }
    sum += value;
  }
  return sum;
}

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
  let features = problem.channels * problem.kernel.x * problem.kernel.y;
  let i = number - problem.first;
  if (i >= features + problem.bias) {
    return;
  }
  let mine = tapOf(problem, i);
  for (var j = thread; j <= i; j += THREADS) {
    var value = problem.count;
    if (i == features) {
      if (j < features) {
        value = correlations[problem.sumOffset + j * problem.sumStride];
      }
    } else {
      let other = tapOf(problem, j);
      if (mine.y < other.y || (mine.y == other.y && mine.x <= other.x)) {
        value = correlation(problem, mine, other);
      } else {
        value = correlation(problem, other, mine);
      }
    }
    s[problem.sOffset + i * problem.sStride + j] = value;
    s[problem.sOffset + j * problem.sStride + i] = value;
  }
}
