// Average pooling, scale · Σ over each window, and backwards: each input gathers scale times the derivatives of the windows
// over it. With the whole image as the window it is global average pooling, and with scale 1 the sum over positions. No
// padding; incomplete windows are left out.
//
// Layout: images hold one pixel (i·H + y)·W + x a row and a channel a column; offsets and strides count vec4, four channels
// at a time; numbers beyond the last channel are left as they are. A workgroup takes one line of an output image (forward)
// or of an input image (back). Dispatched by src/layers/average-pool.ts.
//
// Written by `npm run shaders` from source/pool_average.wgsl.

struct AveragePoolProblem {
  images: u32,
  channels: u32,
  height: u32,
  width: u32,
  outHeight: u32,
  outWidth: u32,
  kernel: vec2u,
  stride: vec2u,
  sourceOffset: u32,
  sourceStride: u32,
  pooledOffset: u32,
  pooledStride: u32,
  scale: f32,
}

@group(0) @binding(0) var<storage, read> problems: array<AveragePoolProblem>;
@group(0) @binding(1) var<storage, read> source: array<vec4f>;
@group(0) @binding(2) var<storage, read_write> pooled: array<vec4f>;

override THREADS: u32 = 64;

fn store(at: u32, quad: u32, channels: u32, value: vec4f) {
  var result = value;
  let first = quad * 4u;
  if (first + 4u > channels) {
    result = select(pooled[at], result, vec4u(first, first + 1u, first + 2u, first + 3u) < vec4u(channels));
  }
  pooled[at] = result;
}

@compute @workgroup_size(THREADS)
fn forward(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let line = id.x + id.y * count.x;
  if (line >= problem.images * problem.outHeight) {
    return;
  }
  let quads = (problem.channels + 3u) / 4u;
  let image = problem.sourceOffset + (line / problem.outHeight) * problem.height * problem.width * problem.sourceStride;
  let top = (line % problem.outHeight) * problem.stride.x;
  for (var e = thread; e < problem.outWidth * quads; e += THREADS) {
    let ox = e / quads;
    let quad = e % quads;
    let start = image + (top * problem.width + ox * problem.stride.y) * problem.sourceStride + quad;
    var total = vec4f();
    for (var ky = 0u; ky < problem.kernel.x; ky++) {
      // A sum for each line: the totals of large windows keep their digits.
      var sum = vec4f();
      var at = start + ky * problem.width * problem.sourceStride;
      for (var kx = 0u; kx < problem.kernel.y; kx++) {
        sum += source[at];
        at += problem.sourceStride;
      }
      total += sum;
    }
    let into = problem.pooledOffset + (line * problem.outWidth + ox) * problem.pooledStride + quad;
    store(into, quad, problem.channels, problem.scale * total);
  }
}

// Here `source` holds the derivatives of the pooled numbers and `pooled` receives those of the input.
@compute @workgroup_size(THREADS)
fn back(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let line = id.x + id.y * count.x;
  if (line >= problem.images * problem.height) {
    return;
  }
  let quads = (problem.channels + 3u) / 4u;
  let y = line % problem.height;
  let image = problem.sourceOffset
    + (line / problem.height) * problem.outHeight * problem.outWidth * problem.sourceStride;
  let lowY = select(0u, (y - problem.kernel.x) / problem.stride.x + 1u, y >= problem.kernel.x);
  let endY = min(y / problem.stride.x + 1u, problem.outHeight);
  for (var e = thread; e < problem.width * quads; e += THREADS) {
    let x = e / quads;
    let quad = e % quads;
    let lowX = select(0u, (x - problem.kernel.y) / problem.stride.y + 1u, x >= problem.kernel.y);
    let endX = min(x / problem.stride.y + 1u, problem.outWidth);
    var sum = vec4f();
    for (var oy = lowY; oy < endY; oy++) {
      for (var ox = lowX; ox < endX; ox++) {
        sum += source[image + (oy * problem.outWidth + ox) * problem.sourceStride + quad];
      }
    }
    let into = problem.pooledOffset + (line * problem.width + x) * problem.pooledStride + quad;
    store(into, quad, problem.channels, problem.scale * sum);
  }
}
