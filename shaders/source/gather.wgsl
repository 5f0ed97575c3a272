// Row r of a batch ← example e(r) of a data set, of which `source` holds examples first … first + examples − 1; the others are
// another dispatch's. Position p = start + r of an order is example
// - given:     p
// - shuffled:  p, permuted by a Feistel network of 24 rounds on the bits of the next power of two, again until it is below
//              order.examples (src/random/permutation.ts, bit for bit)
// - listed:    listed[p]
//
// Layout: examples have `width` numbers in `source` and begin `pitch` numbers apart: words, taken bit by bit; bytes b, four a
// word, which stand for levels[b]; f16, two a word; or one class c, which becomes a row with 1 at c. Number k of row r goes to
// row r · width/cols + ⌊k/cols⌋ of `gathered`, column k mod cols, offset and stride in elements; all numbers as bits of 32. A
// workgroup gathers one example, its threads walk along it. Dispatched by src/resident/gather.ts.

# bindings("resident/gather", "gatherLayout");

override THREADS: u32 = 64;

const BYTES = 1u;
const HALVES = 2u;
const CLASSES = 3u;
const SHUFFLED = 1u;
const LISTED = 2u;
const ROUNDS = 24u;

// Murmur3's last step: every bit of a word goes into every other.
fn mixed(word: u32) -> u32 {
  var x = word ^ (word >> 16u);
  x *= 0x85ebca6bu;
  x ^= x >> 13u;
  x *= 0xc2b2ae35u;
  return x ^ (x >> 16u);
}

fn permuted(position: u32) -> u32 {
  let upperMask = (1u << order.upper) - 1u;
  let lowerMask = (1u << order.lower) - 1u;
  var x = position;
  loop {
    var high = x >> order.lower;
    var low = x & lowerMask;
    for (var r = 0u; r < ROUNDS; r += 2u) {
      high ^= mixed(low ^ order.keys[r]) & upperMask;
      low ^= mixed(high ^ order.keys[r + 1u]) & lowerMask;
    }
    x = (high << order.lower) | low;
    if (x < order.examples) {
      break;
    }
  }
  return x;
}

fn exampleAt(position: u32) -> u32 {
  if (order.kind == SHUFFLED) {
    return permuted(position);
  }
  if (order.kind == LISTED) {
    return listed[position];
  }
  return position;
}

fn numberAt(format: u32, index: u32) -> u32 {
  if (format == BYTES) {
    return levels[(source[index / 4u] >> (8u * (index % 4u))) & 255u];
  }
  if (format == HALVES) {
    let pair = unpack2x16float(source[index / 2u]);
    return bitcast<u32>(select(pair.x, pair.y, index % 2u == 1u));
  }
  return source[index];
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let row = id.x + id.y * count.x;
  if (row >= problem.rows) {
    return;
  }
  // Below `first` it wraps around, to beyond the last.
  let example = exampleAt(order.start + row) - problem.first;
  if (example >= problem.examples) {
    return;
  }
  let start = problem.offset + row * (problem.width / problem.cols) * problem.stride;
  if (problem.format == CLASSES) {
    for (var k = thread; k < problem.width; k += THREADS) {
      gathered[start + k] = bitcast<u32>(select(0.0, 1.0, source[example] == k));
    }
    return;
  }
  for (var k = thread; k < problem.width; k += THREADS) {
    let number = numberAt(problem.format, example * problem.pitch + k);
    gathered[start + (k / problem.cols) * problem.stride + k % problem.cols] = number;
  }
}
