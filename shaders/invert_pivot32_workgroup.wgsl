// First of three kernels of a block sweep over block K, of 32 rows or fewer: N ← D^-½ L⁻¹, where E_KK = L D L', by an
// unblocked symmetric sweep in registers, and, in the other workgroups, old ← E_K: (width × size),
// gathered from the stored lower half, with the identity in the place of E_KK. Then the product kernel makes R ← N old, and
// invert_update all else from R. A matrix of one block is done here, by its one workgroup: E ← −N'N.
//
// Sweep of pivot k, for the rows i > k, all that is needed of it: a_ik → a_ik/a_kk, a_ij → a_ij − a_ik a_kj/a_kk. Just
// before it, row k holds, for the pivots j that are swept, −(L⁻¹)_kj. A pivot of E that is not above FLOOR (its diagonal is
// 1) is clamped to it and the matrix's status gets bit 1.
//
// Not (E_KK)⁻¹ old: what remains of E would be a small difference of products as large as the condition number of E_KK,
// and its error would grow with the square. N old is as small as E's own Cholesky factor.
//
// Layout: E size × size, lower half valid, offsets in f32. panel holds N' (BLOCK × BLOCK) and old (BLOCK × size).
// Dispatched by src/linalg/invert.ts: 1 + ⌈size / BLOCK⌉ workgroups a matrix, many matrices at once.
//
// For GPUs: QUARTERS × QUARTERS threads with 4 × 4 numbers each.
//
// Written by `npm run shaders` from source/invert_pivot.wgsl.

struct SweepProblem {
  first: u32,
  size: u32,
  width: u32,
  block: u32,
  workOffset: u32,
  pivotOffset: u32,
  oldOffset: u32,
  newOffset: u32,
  index: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<SweepProblem>;
@group(0) @binding(1) var<storage, read_write> work: array<f32>;
@group(0) @binding(2) var<storage, read_write> panel: array<f32>;
@group(0) @binding(3) var<storage, read_write> status: array<atomic<u32>>;

const BLOCK = 32u;
const QUARTERS = BLOCK / 4u;
const FLOOR = 2.384185791e-7;
const NOT_POSITIVE = 1u;

fn entry(problem: SweepProblem, i: u32, j: u32) -> f32 {
  let corner = problem.workOffset + problem.block * (problem.size + 1u);
  return work[corner + max(i, j) * problem.size + min(i, j)];
}

// This pivot's row and the next one's, in turns, so that a pivot needs one barrier.
var<workgroup> pivotRow: array<vec4f, 2 * QUARTERS>;

// Thread (tx, ty) keeps rows 4·ty … and columns 4·tx …. The threads that own row k hand it to all: at their columns it is
// a_kj, and at their rows, by symmetry, a_ik. Rows above k are left alone, so when all is done row k still is what it was as the
// pivot's: −(L⁻¹)_kj for j < k.
fn sweep(problem: SweepProblem, thread: u32) {
  let quarters = problem.width / 4u;
  let tx = thread % QUARTERS;
  let ty = thread / QUARTERS;
  let i = 4u * ty;
  let j = 4u * tx;
  let live = ty < quarters && tx < quarters;
  var c0 = vec4f();
  var c1 = vec4f();
  var c2 = vec4f();
  var c3 = vec4f();
  if (live) {
    c0 = vec4f(
      entry(problem, i + 0u, j), entry(problem, i + 0u, j + 1u),
      entry(problem, i + 0u, j + 2u), entry(problem, i + 0u, j + 3u),
    );
    c1 = vec4f(
      entry(problem, i + 1u, j), entry(problem, i + 1u, j + 1u),
      entry(problem, i + 1u, j + 2u), entry(problem, i + 1u, j + 3u),
    );
    c2 = vec4f(
      entry(problem, i + 2u, j), entry(problem, i + 2u, j + 1u),
      entry(problem, i + 2u, j + 2u), entry(problem, i + 2u, j + 3u),
    );
    c3 = vec4f(
      entry(problem, i + 3u, j), entry(problem, i + 3u, j + 1u),
      entry(problem, i + 3u, j + 2u), entry(problem, i + 3u, j + 3u),
    );
  }
  var own = vec4f(1.0);
  var clamped = false;
  // Pivots four at a time: registers are not indexed by a number that the compiler does not know.
  for (var p = 0u; p < quarters; p++) {
    if (ty == p) {
      pivotRow[0u * QUARTERS + tx] = c0;
    }
    workgroupBarrier();
    {
      let found = pivotRow[0u * QUARTERS + p].x;
      let pivot = select(FLOOR, found, found > FLOOR);
      clamped = clamped || !(found > FLOOR);
      if (ty == p) {
        own.x = pivot;
      }
      // In the place of the pivot itself stands pivot − 1, since a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all
      // columns, and as accurate, as the pivot is at most 1.
      var right = pivotRow[0u * QUARTERS + tx];
      if (tx == p) {
        right.x = pivot - 1.0;
      }
      let below = vec4u(i, i + 1u, i + 2u, i + 3u) > vec4u(4u * p + 0u);
      let factor = select(vec4f(), pivotRow[0u * QUARTERS + ty] / pivot, below);
      c0 = fma(vec4f(-factor.x), right, c0);
      c1 = fma(vec4f(-factor.y), right, c1);
      c2 = fma(vec4f(-factor.z), right, c2);
      c3 = fma(vec4f(-factor.w), right, c3);
    }
    if (ty == p) {
      pivotRow[1u * QUARTERS + tx] = c1;
    }
    workgroupBarrier();
    {
      let found = pivotRow[1u * QUARTERS + p].y;
      let pivot = select(FLOOR, found, found > FLOOR);
      clamped = clamped || !(found > FLOOR);
      if (ty == p) {
        own.y = pivot;
      }
      // In the place of the pivot itself stands pivot − 1, since a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all
      // columns, and as accurate, as the pivot is at most 1.
      var right = pivotRow[1u * QUARTERS + tx];
      if (tx == p) {
        right.y = pivot - 1.0;
      }
      let below = vec4u(i, i + 1u, i + 2u, i + 3u) > vec4u(4u * p + 1u);
      let factor = select(vec4f(), pivotRow[1u * QUARTERS + ty] / pivot, below);
      c0 = fma(vec4f(-factor.x), right, c0);
      c1 = fma(vec4f(-factor.y), right, c1);
      c2 = fma(vec4f(-factor.z), right, c2);
      c3 = fma(vec4f(-factor.w), right, c3);
    }
    if (ty == p) {
      pivotRow[0u * QUARTERS + tx] = c2;
    }
    workgroupBarrier();
    {
      let found = pivotRow[0u * QUARTERS + p].z;
      let pivot = select(FLOOR, found, found > FLOOR);
      clamped = clamped || !(found > FLOOR);
      if (ty == p) {
        own.z = pivot;
      }
      // In the place of the pivot itself stands pivot − 1, since a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all
      // columns, and as accurate, as the pivot is at most 1.
      var right = pivotRow[0u * QUARTERS + tx];
      if (tx == p) {
        right.z = pivot - 1.0;
      }
      let below = vec4u(i, i + 1u, i + 2u, i + 3u) > vec4u(4u * p + 2u);
      let factor = select(vec4f(), pivotRow[0u * QUARTERS + ty] / pivot, below);
      c0 = fma(vec4f(-factor.x), right, c0);
      c1 = fma(vec4f(-factor.y), right, c1);
      c2 = fma(vec4f(-factor.z), right, c2);
      c3 = fma(vec4f(-factor.w), right, c3);
    }
    if (ty == p) {
      pivotRow[1u * QUARTERS + tx] = c3;
    }
    workgroupBarrier();
    {
      let found = pivotRow[1u * QUARTERS + p].w;
      let pivot = select(FLOOR, found, found > FLOOR);
      clamped = clamped || !(found > FLOOR);
      if (ty == p) {
        own.w = pivot;
      }
      // In the place of the pivot itself stands pivot − 1, since a_ik − (a_ik/a_kk)(a_kk − 1) = a_ik/a_kk: one rule for all
      // columns, and as accurate, as the pivot is at most 1.
      var right = pivotRow[1u * QUARTERS + tx];
      if (tx == p) {
        right.w = pivot - 1.0;
      }
      let below = vec4u(i, i + 1u, i + 2u, i + 3u) > vec4u(4u * p + 3u);
      let factor = select(vec4f(), pivotRow[1u * QUARTERS + ty] / pivot, below);
      c0 = fma(vec4f(-factor.x), right, c0);
      c1 = fma(vec4f(-factor.y), right, c1);
      c2 = fma(vec4f(-factor.z), right, c2);
      c3 = fma(vec4f(-factor.w), right, c3);
    }
  }
  // N = D^-½ L⁻¹: nothing above the diagonal, and L⁻¹ has ones on it.
  let scale = inverseSqrt(own);
  let columns = vec4u(j, j + 1u, j + 2u, j + 3u);
  let unit0 = select(vec4f(), vec4f(1.0), columns == vec4u(i + 0u));
  let n0 = scale.x * select(unit0, -c0, columns < vec4u(i + 0u));
  let unit1 = select(vec4f(), vec4f(1.0), columns == vec4u(i + 1u));
  let n1 = scale.y * select(unit1, -c1, columns < vec4u(i + 1u));
  let unit2 = select(vec4f(), vec4f(1.0), columns == vec4u(i + 2u));
  let n2 = scale.z * select(unit2, -c2, columns < vec4u(i + 2u));
  let unit3 = select(vec4f(), vec4f(1.0), columns == vec4u(i + 3u));
  let n3 = scale.w * select(unit3, -c3, columns < vec4u(i + 3u));
  if (live) {
    panel[problem.pivotOffset + (j + 0u) * BLOCK + i + 0u] = n0.x;
    panel[problem.oldOffset + (j + 0u) * problem.size + problem.block + i + 0u] = select(0.0, 1.0, i + 0u == j + 0u);
    panel[problem.pivotOffset + (j + 0u) * BLOCK + i + 1u] = n1.x;
    panel[problem.oldOffset + (j + 0u) * problem.size + problem.block + i + 1u] = select(0.0, 1.0, i + 1u == j + 0u);
    panel[problem.pivotOffset + (j + 0u) * BLOCK + i + 2u] = n2.x;
    panel[problem.oldOffset + (j + 0u) * problem.size + problem.block + i + 2u] = select(0.0, 1.0, i + 2u == j + 0u);
    panel[problem.pivotOffset + (j + 0u) * BLOCK + i + 3u] = n3.x;
    panel[problem.oldOffset + (j + 0u) * problem.size + problem.block + i + 3u] = select(0.0, 1.0, i + 3u == j + 0u);
    panel[problem.pivotOffset + (j + 1u) * BLOCK + i + 0u] = n0.y;
    panel[problem.oldOffset + (j + 1u) * problem.size + problem.block + i + 0u] = select(0.0, 1.0, i + 0u == j + 1u);
    panel[problem.pivotOffset + (j + 1u) * BLOCK + i + 1u] = n1.y;
    panel[problem.oldOffset + (j + 1u) * problem.size + problem.block + i + 1u] = select(0.0, 1.0, i + 1u == j + 1u);
    panel[problem.pivotOffset + (j + 1u) * BLOCK + i + 2u] = n2.y;
    panel[problem.oldOffset + (j + 1u) * problem.size + problem.block + i + 2u] = select(0.0, 1.0, i + 2u == j + 1u);
    panel[problem.pivotOffset + (j + 1u) * BLOCK + i + 3u] = n3.y;
    panel[problem.oldOffset + (j + 1u) * problem.size + problem.block + i + 3u] = select(0.0, 1.0, i + 3u == j + 1u);
    panel[problem.pivotOffset + (j + 2u) * BLOCK + i + 0u] = n0.z;
    panel[problem.oldOffset + (j + 2u) * problem.size + problem.block + i + 0u] = select(0.0, 1.0, i + 0u == j + 2u);
    panel[problem.pivotOffset + (j + 2u) * BLOCK + i + 1u] = n1.z;
    panel[problem.oldOffset + (j + 2u) * problem.size + problem.block + i + 1u] = select(0.0, 1.0, i + 1u == j + 2u);
    panel[problem.pivotOffset + (j + 2u) * BLOCK + i + 2u] = n2.z;
    panel[problem.oldOffset + (j + 2u) * problem.size + problem.block + i + 2u] = select(0.0, 1.0, i + 2u == j + 2u);
    panel[problem.pivotOffset + (j + 2u) * BLOCK + i + 3u] = n3.z;
    panel[problem.oldOffset + (j + 2u) * problem.size + problem.block + i + 3u] = select(0.0, 1.0, i + 3u == j + 2u);
    panel[problem.pivotOffset + (j + 3u) * BLOCK + i + 0u] = n0.w;
    panel[problem.oldOffset + (j + 3u) * problem.size + problem.block + i + 0u] = select(0.0, 1.0, i + 0u == j + 3u);
    panel[problem.pivotOffset + (j + 3u) * BLOCK + i + 1u] = n1.w;
    panel[problem.oldOffset + (j + 3u) * problem.size + problem.block + i + 1u] = select(0.0, 1.0, i + 1u == j + 3u);
    panel[problem.pivotOffset + (j + 3u) * BLOCK + i + 2u] = n2.w;
    panel[problem.oldOffset + (j + 3u) * problem.size + problem.block + i + 2u] = select(0.0, 1.0, i + 2u == j + 3u);
    panel[problem.pivotOffset + (j + 3u) * BLOCK + i + 3u] = n3.w;
    panel[problem.oldOffset + (j + 3u) * problem.size + problem.block + i + 3u] = select(0.0, 1.0, i + 3u == j + 3u);
  }
  if (problem.size == problem.width) {
    var e0 = vec4f();
    var e1 = vec4f();
    var e2 = vec4f();
    var e3 = vec4f();
    for (var p = 0u; p < quarters; p++) {
      if (ty == p) {
        pivotRow[0u * QUARTERS + tx] = n0;
      }
      workgroupBarrier();
      {
        let left = pivotRow[0u * QUARTERS + ty];
        let right = pivotRow[0u * QUARTERS + tx];
        e0 = fma(vec4f(left.x), right, e0);
        e1 = fma(vec4f(left.y), right, e1);
        e2 = fma(vec4f(left.z), right, e2);
        e3 = fma(vec4f(left.w), right, e3);
      }
      if (ty == p) {
        pivotRow[1u * QUARTERS + tx] = n1;
      }
      workgroupBarrier();
      {
        let left = pivotRow[1u * QUARTERS + ty];
        let right = pivotRow[1u * QUARTERS + tx];
        e0 = fma(vec4f(left.x), right, e0);
        e1 = fma(vec4f(left.y), right, e1);
        e2 = fma(vec4f(left.z), right, e2);
        e3 = fma(vec4f(left.w), right, e3);
      }
      if (ty == p) {
        pivotRow[0u * QUARTERS + tx] = n2;
      }
      workgroupBarrier();
      {
        let left = pivotRow[0u * QUARTERS + ty];
        let right = pivotRow[0u * QUARTERS + tx];
        e0 = fma(vec4f(left.x), right, e0);
        e1 = fma(vec4f(left.y), right, e1);
        e2 = fma(vec4f(left.z), right, e2);
        e3 = fma(vec4f(left.w), right, e3);
      }
      if (ty == p) {
        pivotRow[1u * QUARTERS + tx] = n3;
      }
      workgroupBarrier();
      {
        let left = pivotRow[1u * QUARTERS + ty];
        let right = pivotRow[1u * QUARTERS + tx];
        e0 = fma(vec4f(left.x), right, e0);
        e1 = fma(vec4f(left.y), right, e1);
        e2 = fma(vec4f(left.z), right, e2);
        e3 = fma(vec4f(left.w), right, e3);
      }
    }
    if (live && tx <= ty) {
      work[problem.workOffset + (i + 0u) * problem.size + j + 0u] = -e0.x;
      work[problem.workOffset + (i + 0u) * problem.size + j + 1u] = -e0.y;
      work[problem.workOffset + (i + 0u) * problem.size + j + 2u] = -e0.z;
      work[problem.workOffset + (i + 0u) * problem.size + j + 3u] = -e0.w;
      work[problem.workOffset + (i + 1u) * problem.size + j + 0u] = -e1.x;
      work[problem.workOffset + (i + 1u) * problem.size + j + 1u] = -e1.y;
      work[problem.workOffset + (i + 1u) * problem.size + j + 2u] = -e1.z;
      work[problem.workOffset + (i + 1u) * problem.size + j + 3u] = -e1.w;
      work[problem.workOffset + (i + 2u) * problem.size + j + 0u] = -e2.x;
      work[problem.workOffset + (i + 2u) * problem.size + j + 1u] = -e2.y;
      work[problem.workOffset + (i + 2u) * problem.size + j + 2u] = -e2.z;
      work[problem.workOffset + (i + 2u) * problem.size + j + 3u] = -e2.w;
      work[problem.workOffset + (i + 3u) * problem.size + j + 0u] = -e3.x;
      work[problem.workOffset + (i + 3u) * problem.size + j + 1u] = -e3.y;
      work[problem.workOffset + (i + 3u) * problem.size + j + 2u] = -e3.z;
      work[problem.workOffset + (i + 3u) * problem.size + j + 3u] = -e3.w;
    }
  }
  if (clamped && thread == 0u) {
    atomicOr(&status[problem.index], NOT_POSITIVE);
  }
}

// Threads of a workgroup.
const THREADS = QUARTERS * QUARTERS;

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
  let part = number - problem.first;
  if (part == 0u) {
    sweep(problem, thread);
    return;
  }
  let i = (part - 1u) * BLOCK + thread % BLOCK;
  if (i >= problem.size || (i >= problem.block && i < problem.block + problem.width)) {
    return;
  }
  for (var q = thread / BLOCK; q < problem.width; q += THREADS / BLOCK) {
    let row = problem.block + q;
    let value = work[problem.workOffset + max(i, row) * problem.size + min(i, row)];
    panel[problem.oldOffset + q * problem.size + i] = value;
  }
}
