// The patches of a convolution: what lies under the kernel at each position, zero outside the image, and a 1 behind it
// where there is a bias. Columns are ordered (channel, ky, kx). Three entry points:
// - rows:        one position a row, for products that sum over positions
// - transposed:  one position a column, for those that sum over the patch
// - means:       the mean over an example's positions, one example a row
//
// Layout: the source holds one pixel (i·H + y)·W + x a row, a channel a column; positions are numbered (i·H' + oy)·W' + ox,
// and a dispatch makes `rows` of them from `firstRow` on (for `means`: examples). Offsets and strides in elements. Of
// `rows`, a workgroup takes `span` positions and THREADS columns, of `transposed` THREADS positions and `span` channels.
// Coordinates wrap below zero, so that one comparison finds both edges. Dispatched by src/layers/conv/patches.ts.
//
// Written by `npm run shaders` from source/patches.wgsl.

struct PatchProblem {
  rows: u32,
  firstRow: u32,
  channels: u32,
  height: u32,
  width: u32,
  outHeight: u32,
  outWidth: u32,
  kernel: vec2u,
  stride: vec2u,
  padding: vec2u,
  dilation: vec2u,
  bias: u32,
  sourceOffset: u32,
  sourceStride: u32,
  patchOffset: u32,
  patchStride: u32,
  span: u32,
  parts: u32,
}

@group(0) @binding(0) var<storage, read> problems: array<PatchProblem>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read_write> patches: array<f32>;

override THREADS: u32 = 64;

@compute @workgroup_size(THREADS)
fn rows(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = id.x + id.y * count.x;
  let first = (number / problem.parts) * problem.span;
  let column = (number % problem.parts) * THREADS + thread;
  let taps = problem.kernel.x * problem.kernel.y;
  let features = problem.channels * taps;
  if (first >= problem.rows || column >= features + problem.bias) {
    return;
  }
  let end = min(first + problem.span, problem.rows);
  var into = problem.patchOffset + first * problem.patchStride + column;
  if (column == features) {
    for (var row = first; row < end; row++) {
      patches[into] = 1.0;
      into += problem.patchStride;
    }
    return;
  }
  let tap = column % taps;
  let shift = vec2u(tap / problem.kernel.y, tap % problem.kernel.y) * problem.dilation - problem.padding;
  let line = (problem.firstRow + first) / problem.outWidth;
  var ox = (problem.firstRow + first) % problem.outWidth;
  var oy = line % problem.outHeight;
  let plane = problem.height * problem.width * problem.sourceStride;
  var image = problem.sourceOffset + (line / problem.outHeight) * plane + column / taps;
  var y = oy * problem.stride.x + shift.x;
  var x = ox * problem.stride.y + shift.y;
  for (var row = first; row < end; row++) {
    var value = 0.0;
    if (y < problem.height && x < problem.width) {
      value = source[image + (y * problem.width + x) * problem.sourceStride];
    }
    patches[into] = value;
    into += problem.patchStride;
    ox++;
    x += problem.stride.y;
    if (ox == problem.outWidth) {
      ox = 0u;
      x = shift.y;
      oy++;
      y += problem.stride.x;
      if (oy == problem.outHeight) {
        oy = 0u;
        y = shift.x;
        image += plane;
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn transposed(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = id.x + id.y * count.x;
  let row = (number / problem.parts) * THREADS + thread;
  if (row >= problem.rows) {
    return;
  }
  let first = (number % problem.parts) * problem.span;
  let end = min(first + problem.span, problem.channels);
  let line = (problem.firstRow + row) / problem.outWidth;
  let ox = (problem.firstRow + row) % problem.outWidth;
  let top = (line % problem.outHeight) * problem.stride.x - problem.padding.x;
  let left = ox * problem.stride.y - problem.padding.y;
  let image = problem.sourceOffset
    + (line / problem.outHeight) * problem.height * problem.width * problem.sourceStride;
  let step = problem.dilation.y * problem.sourceStride;
  var into = problem.patchOffset + first * problem.kernel.x * problem.kernel.y * problem.patchStride + row;
  for (var channel = first; channel < end; channel++) {
    var y = top;
    for (var ky = 0u; ky < problem.kernel.x; ky++) {
      var x = left;
      var at = image + (y * problem.width + x) * problem.sourceStride + channel;
      for (var kx = 0u; kx < problem.kernel.y; kx++) {
        var value = 0.0;
        if (y < problem.height && x < problem.width) {
          value = source[at];
        }
        patches[into] = value;
        into += problem.patchStride;
        x += problem.dilation.y;
        at += step;
      }
      y += problem.dilation.x;
    }
  }
  if (end == problem.channels && problem.bias == 1u) {
    patches[into] = 1.0;
  }
}

@compute @workgroup_size(THREADS)
fn means(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = id.x + id.y * count.x;
  let row = number / problem.parts;
  let column = (number % problem.parts) * THREADS + thread;
  let taps = problem.kernel.x * problem.kernel.y;
  let features = problem.channels * taps;
  if (row >= problem.rows || column >= features + problem.bias) {
    return;
  }
  let into = problem.patchOffset + row * problem.patchStride + column;
  if (column == features) {
    patches[into] = 1.0;
    return;
  }
  let tap = column % taps;
  let shift = vec2u(tap / problem.kernel.y, tap % problem.kernel.y) * problem.dilation - problem.padding;
  let image = problem.sourceOffset
    + (problem.firstRow + row) * problem.height * problem.width * problem.sourceStride
    + column / taps;
  var total = 0.0;
  var y = shift.x;
  for (var oy = 0u; oy < problem.outHeight; oy++) {
    // A sum for each line: the totals of large images keep their digits.
    var sum = 0.0;
    var x = shift.y;
    for (var ox = 0u; ox < problem.outWidth; ox++) {
      if (y < problem.height && x < problem.width) {
        sum += source[image + (y * problem.width + x) * problem.sourceStride];
      }
      x += problem.stride.y;
    }
    total += sum;
    y += problem.stride.x;
  }
  patches[into] = total / f32(problem.outHeight * problem.outWidth);
}
