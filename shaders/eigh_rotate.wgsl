// Q ← Q G for the rotations that one round of eigh_ql.wgsl wrote down: columns i and i+1 of Q become c q_i − s q_(i+1) and
// s q_i + c q_(i+1), for i = m−1 … l in each sweep. Two sweeps that begin at the same m run through Q together.
//
// Layout: Q' is stored, size × size in vec4f; a thread owns four rows of Q, which are four numbers in each row of Q', and
// carries row i+1 in a register. Rotations and state as eigh_ql.wgsl leaves them. Offsets in f32, that of rotations in
// pairs. Dispatched by src/linalg/eigh.ts, many matrices at once; no thread waits for another.
//
// Written by `npm run shaders` from source/eigh_rotate.wgsl.

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
@group(0) @binding(1) var<storage, read> state: array<u32>;
@group(0) @binding(2) var<storage, read> rotations: array<vec2f>;
@group(0) @binding(3) var<storage, read_write> work: array<vec4f>;

override THREADS: u32 = 64;

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
  let groups = problem.size / 4u;
  let g = (number - problem.first) * THREADS + thread;
  if (g >= groups) {
    return;
  }
  let q = problem.matrixOffset / 4u + g;
  var next = problem.rotationOffset;
  let end = next + state[4u * problem.index + 2u];
  while (next < end) {
    let sweep = vec2u(rotations[next]);
    let m = sweep.x;
    let l = sweep.y;
    // The turn of rows i and i+1 is at turns − i.
    let turns = next + m;
    next = turns - l + 1u;
    var i = m;
    var carry = work[q + m * groups];
    if (next < end) {
      let second = vec2u(rotations[next]);
      // A second sweep from the same row follows in the first one's steps, one row behind: half the loads and stores.
      if (second.x == m && second.y >= l && second.y < m) {
        let behind = next + m;
        let stop = second.y;
        next = behind - stop + 1u;
        let turn = rotations[turns - m + 1u];
        let above = work[q + (m - 1u) * groups];
        var trail = fma(vec4f(turn.y), above, turn.x * carry);
        carry = fma(vec4f(turn.x), above, -turn.y * carry);
        i = m - 1u;
        while (i > l && i >= stop) {
          let first = rotations[turns - i + 1u];
          let other = rotations[behind - i];
          let before = work[q + (i - 1u) * groups];
          let row = fma(vec4f(first.y), before, first.x * carry);
          carry = fma(vec4f(first.x), before, -first.y * carry);
          work[q + (i + 1u) * groups] = fma(vec4f(other.y), row, other.x * trail);
          trail = fma(vec4f(other.x), row, -other.y * trail);
          i--;
        }
        if (stop == l) {
          let other = rotations[behind - l];
          work[q + (l + 1u) * groups] = fma(vec4f(other.y), carry, other.x * trail);
          carry = fma(vec4f(other.x), carry, -other.y * trail);
        } else {
          work[q + stop * groups] = trail;
        }
      }
    }
    while (i > l) {
      let turn = rotations[turns - i + 1u];
      let above = work[q + (i - 1u) * groups];
      work[q + i * groups] = fma(vec4f(turn.y), above, turn.x * carry);
      carry = fma(vec4f(turn.x), above, -turn.y * carry);
      i--;
    }
    work[q + l * groups] = carry;
  }
}
