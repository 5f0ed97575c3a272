// Rounds matrices to f16, each times a power of two of its own that brings its largest number into [2^14, 2^15): nothing
// overflows, however large, and what is flushed to zero is some 2^28 times as small as the largest, however small that is.
// `peaks` finds the largest, `main` rounds. What will multiply the products of the rounded numbers, α, gets the powers of two
// back, but for 2^28: those products are to be 2^28 times as small as they are, lest results near the ends of f32 get lost.
//
// Layout: offsets and strides count vec4f of x, and vec4h, each two words, of `halves`. A workgroup takes ROWS rows.
// Dispatched by src/linalg/products/half.ts, many matrices at once.
//
// Written by `npm run shaders` from source/half.wgsl.

struct HalfProblem {
  first: u32,
  rows: u32,
  cols: u32,
  xOffset: u32,
  xStride: u32,
  halfOffset: u32,
  halfStride: u32,
  // Places of its largest number, and of that of what it is multiplied with.
  peak: u32,
  other: u32,
  // Places of (α, β), as they come and as they go; the latter is NONE where another matrix sees to that.
  given: u32,
  into: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<HalfProblem>;
@group(0) @binding(1) var<storage, read> scales: array<vec2f>;
@group(0) @binding(2) var<storage, read> x: array<vec4f>;
@group(0) @binding(3) var<storage, read_write> largests: array<atomic<u32>>;
@group(0) @binding(4) var<storage, read_write> halves: array<vec2u>;
@group(0) @binding(5) var<storage, read_write> pairs: array<vec2f>;

override THREADS: u32 = 64;
const ROWS = 16u;
const NONE = 0xffffffffu;
// The bits of 2^-14, the smallest normal number of f16.
const SMALLEST = 0x38800000u;
// The bits of infinity, and the exponent of all that is not finite. WGSL lets a compiler assume that infinities and NaN do
// not occur (x != x is no test), so the bits are looked at.
const INFINITY = 0x7f800000u;

@compute @workgroup_size(THREADS)
fn peaks(
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
  let row = (number - problem.first) * ROWS;
  var largest = vec4u();
  for (var i = row; i < min(row + ROWS, problem.rows); i++) {
    for (var j = 4u * thread; j < problem.cols; j += 4u * THREADS) {
      // The bits of |x|: they order numbers by size, and those of infinity and NaN are above all others.
      let bits = bitcast<vec4u>(x[problem.xOffset + i * problem.xStride + j / 4u]) & vec4u(0x7fffffffu);
      let inside = vec4u(j, j + 1u, j + 2u, j + 3u) < vec4u(problem.cols);
      largest = max(largest, select(vec4u(), bits, inside));
    }
  }
  let most = max(max(largest.x, largest.y), max(largest.z, largest.w));
  // It only grows, so most threads need not wait for their turn.
  if (most > atomicLoad(&largests[problem.peak])) {
    atomicMax(&largests[problem.peak], most);
  }
}

// 2^exponent, which must be that of a normal number.
fn power(exponent: i32) -> f32 {
  return bitcast<f32>(u32(exponent + 127) << 23u);
}

// x · 2^exponent, in two steps: the power itself may be beyond f32.
fn scaled(x: vec4f, exponent: i32) -> vec4f {
  let half = exponent / 2;
  return x * power(half) * power(exponent - half);
}

// The exponent of a largest number: 2^exponent ≤ it < 2^(exponent + 1), unless it is next to nothing.
fn exponentOf(peak: u32) -> i32 {
  return max(i32(peak >> 23u), 1) - 127;
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
  let row = (number - problem.first) * ROWS;
  let peak = atomicLoad(&largests[problem.peak]);
  let exponent = exponentOf(peak);
  for (var i = row; i < min(row + ROWS, problem.rows); i++) {
    for (var j = thread; j < (problem.cols + 3u) / 4u; j += THREADS) {
      let bits = bitcast<vec4u>(scaled(x[problem.xOffset + i * problem.xStride + j], 14 - exponent));
      // To the nearest of eleven bits, ties to even, on the bits: how an adapter rounds is its own affair, and so is what it
      // makes of f16 that are not normal.
      let even = (bits >> vec4u(13u)) & vec4u(1u);
      let nearest = (bits + vec4u(0xfffu) + even) & vec4u(0xffffe000u);
      let normal = (bits & vec4u(0x7fffffffu)) >= vec4u(SMALLEST);
      let rounded = bitcast<vec4f>(select(vec4u(), nearest, normal));
      halves[problem.halfOffset + i * problem.halfStride + j] =
        vec2u(pack2x16float(rounded.xy), pack2x16float(rounded.zw));
    }
  }
  if (problem.into == NONE || row > 0u || thread > 0u) {
    return;
  }
  let other = atomicLoad(&largests[problem.other]);
  let scale = scales[problem.given];
  // By the one power and then the other, since their product may be beyond f32.
  var alpha = scaled(scaled(vec4f(scale.x), exponent), exponentOf(other)).x;
  if (max(peak, other) >= INFINITY) {
    // What is not finite must not look as if it were.
    alpha = bitcast<f32>(max(peak, other));
  }
  // With α = 0 nothing of the product is read, whatever it holds.
  pairs[problem.into] = vec2f(select(alpha, 0.0, scale.x == 0.0), scale.y);
}
