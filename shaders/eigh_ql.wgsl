// One round of implicit QL on T: T ← G'TG until it is diagonal or the round's room for rotations is full. One thread a
// matrix, because every rotation needs the last; it writes the rotations down for eigh_rotate.wgsl to apply to Q.
// A sweep chases a bulge from row m to row l of an unreduced block: with Wilkinson's shift σ from the corner at l,
//   g = d_m − σ, s = c = 1, and for i = m−1 … l: (c, s) ← (g, s e_i) / r turns rows i and i+1.
// An adapter may divide and take roots with errors of some units in the last place, which would add up over all rotations. Here
// they only choose the shift and a first length of (c, s), which is then corrected; r is the inner product of (c, s) and (g, s e_i).
// An e_i not above 2^-24 times the largest |d| + |e| + |e| counts as zero, which bounds the absolute error, not that of
// small eigenvalues (as EISPACK's tql2).
//
// Layout: d and e, size numbers each, at 3 · vectorOffset of tridiagonal. rotations: for each sweep (m, l), then the pairs
// (c, s) from i = m−1 down to l; capacity pairs a matrix, at least n. state, four words a matrix, zero at first: [1] l,
// the rows done (n − 1 or more when all are), [2] pairs written in this round. Dispatched by src/linalg/eigh.ts, a fixed
// number of rounds: those after the last that was needed find nothing to do.
//
// Written by `npm run shaders` from source/eigh_ql.wgsl.

struct EighProblem {
  first: u32,
  n: u32,
  size: u32,
  offset: u32,
  stride: u32,
  matrixOffset: u32,
  reflectorOffset: u32,
  vectorOffset: u32,
  rotationOffset: u32,
  capacity: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<EighProblem>;
@group(0) @binding(1) var<storage, read_write> tridiagonal: array<f32>;
@group(0) @binding(2) var<storage, read_write> state: array<u32>;
@group(0) @binding(3) var<storage, read_write> rotations: array<vec2f>;

const EPSILON = 5.9604645e-8;
// The square of a pair that counts as zero: E is about 1, and squares of numbers much smaller would lose their digits.
const NEGLIGIBLE = 1e-30;

override THREADS: u32 = 1;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let number = (id.x + id.y * count.x) * THREADS + thread;
  if (number >= arrayLength(&problems)) {
    return;
  }
  let problem = problems[number];
  let d = 3u * problem.vectorOffset;
  let e = d + problem.size;
  let last = problem.n - 1u;
  var l = state[4u * problem.index + 1u];
  var used = 0u;
  if (l < last) {
    var largest = 0.0;
    var before = 0.0;
    for (var i = 0u; i < last; i++) {
      let after = abs(tridiagonal[e + i]);
      largest = max(largest, before + abs(tridiagonal[d + i]) + after);
      before = after;
    }
    let tolerance = EPSILON * max(largest, before + abs(tridiagonal[d + last]));
    while (l < last) {
      var m = l;
      while (m < last && abs(tridiagonal[e + m]) > tolerance) {
        m++;
      }
      if (m == l) {
        l++;
        continue;
      }
      if (used + 1u + m - l > problem.capacity) {
        break;
      }
      let header = problem.rotationOffset + used;
      let corner = tridiagonal[e + l];
      let top = tridiagonal[d + l];
      let half = (tridiagonal[d + l + 1u] - top) / (2.0 * corner);
      let root = sqrt(fma(half, half, 1.0));
      var g = tridiagonal[d + m] - top + corner / (half + select(-root, root, half >= 0.0));
      var s = 1.0;
      var c = 1.0;
      var p = 0.0;
      var i = m;
      var lower = tridiagonal[d + m];
      var whole = true;
      while (i > l) {
        i--;
        let off = tridiagonal[e + i];
        let upper = tridiagonal[d + i];
        let f = s * off;
        let b = c * off;
        let square = fma(f, f, g * g);
        if (square < NEGLIGIBLE) {
          // The bulge has vanished: T splits here. A safety net, since r = 0 would make NaN of everything.
          tridiagonal[d + i + 1u] = lower - p;
          tridiagonal[e + i] = b;
          if (i + 1u < m) {
            tridiagonal[e + i + 1u] = 0.0;
          }
          i++;
          whole = false;
          break;
        }
        let inverse = inverseSqrt(square);
        c = g * inverse;
        s = f * inverse;
        let gap = 0.5 * fma(-s, s, fma(-c, c, 1.0));
        c = fma(gap, c, c);
        s = fma(gap, s, s);
        if (i + 1u < m) {
          tridiagonal[e + i + 1u] = fma(c, g, s * f);
        }
        g = lower - p;
        let turned = fma(upper - g, s, 2.0 * c * b);
        p = s * turned;
        tridiagonal[d + i + 1u] = g + p;
        g = fma(c, turned, -b);
        lower = upper;
        used++;
        rotations[problem.rotationOffset + used] = vec2f(c, s);
      }
      if (whole) {
        tridiagonal[d + l] = lower - p;
        tridiagonal[e + l] = g;
      }
      used++;
      rotations[header] = vec2f(f32(m), f32(i));
    }
    state[4u * problem.index + 1u] = l;
  }
  state[4u * problem.index + 2u] = used;
}
