// The adjoint of the patches: each input number gathers the derivatives of all patch entries that are copies of it, in a
// fixed order and without atomics.
//
// Layout: the derivatives of patches are stored one entry (channel, ky, kx) a row, one position a column: those of the
// output lines firstLine … firstLine + lines − 1 of `examples` examples. The target holds one pixel (i·H + y)·W + x a row,
// a channel a column; with `accumulate` = 1 the sum is added to what is there. Offsets and strides in elements. A
// workgroup takes THREADS pixels and `span` channels.
//
// The taps over a pixel are every `step`-th from the first that meets it, step = stride/gcd(stride, dilation); from one to
// the next the output moves back by `advance` = dilation/gcd. So the loops neither divide nor test. Dispatched by
// src/layers/conv/patches.ts.

# bindings("layers/conv/patches", "foldLayout");

override THREADS: u32 = 64;

struct Taps {
  // The first tap, the output it belongs to, and how many taps there are.
  first: u32,
  output: u32,
  count: u32,
}

// The taps that read input `at` (padding counted) for outputs from `low` to `end` − 1.
fn tapsOver(at: u32, low: u32, end: u32, kernel: u32, stride: u32, dilation: u32, step: u32, advance: u32) -> Taps {
  var tap = 0u;
  while (tap < step && tap * dilation <= at && (at - tap * dilation) % stride != 0u) {
    tap++;
  }
  if (tap >= step || tap * dilation > at) {
    return Taps();
  }
  var output = (at - tap * dilation) / stride;
  if (output >= end) {
    let skip = (output - end) / advance + 1u;
    if (skip * advance > output) {
      return Taps();
    }
    tap += skip * step;
    output -= skip * advance;
  }
  if (tap >= kernel || output < low) {
    return Taps();
  }
  return Taps(tap, output, min((kernel - 1u - tap) / step, (output - low) / advance) + 1u);
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let number = id.x + id.y * count.x;
  let pixel = (number / problem.parts) * THREADS + thread;
  let line = pixel / problem.width;
  let example = line / problem.height;
  if (example >= problem.examples) {
    return;
  }
  let vertical = tapsOver(
    line % problem.height + problem.padding.x, problem.firstLine, problem.firstLine + problem.lines,
    problem.kernel.x, problem.stride.x, problem.dilation.x, problem.step.x, problem.advance.x,
  );
  let horizontal = tapsOver(
    pixel % problem.width + problem.padding.y, 0u, problem.outWidth,
    problem.kernel.y, problem.stride.y, problem.dilation.y, problem.step.y, problem.advance.y,
  );
  let first = (number % problem.parts) * problem.span;
  let end = min(first + problem.span, problem.channels);
  let entry = (first * problem.kernel.x + vertical.first) * problem.kernel.y + horizontal.first;
  let column = (example * problem.lines + vertical.output - problem.firstLine) * problem.outWidth + horizontal.output;
  let down = problem.step.x * problem.kernel.y * problem.patchStride - problem.advance.x * problem.outWidth;
  let across = problem.step.y * problem.patchStride - problem.advance.y;
  let channelStride = problem.kernel.x * problem.kernel.y * problem.patchStride;
  var start = problem.patchOffset + entry * problem.patchStride + column;
  var into = problem.foldedOffset + pixel * problem.foldedStride + first;
  for (var channel = first; channel < end; channel++) {
    var sum = 0.0;
    var row = start;
    for (var ky = 0u; ky < vertical.count; ky++) {
      var at = row;
      for (var kx = 0u; kx < horizontal.count; kx++) {
        sum += patches[at];
        at += across;
      }
      row += down;
    }
    if (problem.accumulate == 1u) {
      sum += folded[into];
    }
    folded[into] = sum;
    into++;
    start += channelStride;
  }
}
