// Maximum pooling: the largest number of each window, with its cell y·W + x in the image beside it (the first of equals);
// backwards: each input gathers the derivatives of the windows that took it, times φ' where the images are results of a function φ
// that leaves its derivative to this; and along directions: each window takes the derivative of the cell that it took. No
// padding; incomplete windows are left out.
//
// Layout: images hold one pixel (i·H + y)·W + x a row and a channel a column; offsets and strides count vec4, four channels
// at a time. φ' is taken from the images, which are `values` there. Of derivatives, several blocks of `examples` images lie
// under each other, and image i is of example i mod examples. A workgroup takes one line of an output image (forward, along) or
// of an input image (back). Dispatched by src/layers/max-pool.ts.

# bindings("layers/max-pool", "maxPoolLayout");

override THREADS: u32 = 64;

# include("activation_kinds");
# include("slope_at", { type: "vec4f" });

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
  let image = problem.sourceOffset + (line / problem.outHeight) * problem.height * problem.width * problem.sourceStride;
  let top = (line % problem.outHeight) * problem.stride.x;
  for (var e = thread; e < problem.outWidth * problem.quads; e += THREADS) {
    let ox = e / problem.quads;
    let quad = e % problem.quads;
    let first = top * problem.width + ox * problem.stride.y;
    var largest = source[image + first * problem.sourceStride + quad];
    var cells = vec4u(first);
    for (var ky = 0u; ky < problem.kernel.x; ky++) {
      for (var kx = 0u; kx < problem.kernel.y; kx++) {
        let cell = first + ky * problem.width + kx;
        let value = source[image + cell * problem.sourceStride + quad];
        let larger = value > largest;
        largest = select(largest, value, larger);
        cells = select(cells, vec4u(cell), larger);
      }
    }
    let position = line * problem.outWidth + ox;
    pooled[problem.pooledOffset + position * problem.pooledStride + quad] = largest;
    chosen[position * problem.quads + quad] = cells;
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
  let image = line / problem.height;
  let y = line % problem.height;
  let positions = problem.outHeight * problem.outWidth;
  let example = (image % problem.examples) * positions;
  let valueLine = ((image % problem.examples) * problem.height + y) * problem.width;
  let lowY = select(0u, (y - problem.kernel.x) / problem.stride.x + 1u, y >= problem.kernel.x);
  let endY = min(y / problem.stride.x + 1u, problem.outHeight);
  for (var e = thread; e < problem.width * problem.quads; e += THREADS) {
    let x = e / problem.quads;
    let quad = e % problem.quads;
    let cell = vec4u(y * problem.width + x);
    let lowX = select(0u, (x - problem.kernel.y) / problem.stride.y + 1u, x >= problem.kernel.y);
    let endX = min(x / problem.stride.y + 1u, problem.outWidth);
    var sum = vec4f();
    for (var oy = lowY; oy < endY; oy++) {
      for (var ox = lowX; ox < endX; ox++) {
        let position = oy * problem.outWidth + ox;
        let value = source[problem.sourceOffset + (image * positions + position) * problem.sourceStride + quad];
        let cells = chosen[(example + position) * problem.quads + quad];
        sum += select(vec4f(), value, cells == cell);
      }
    }
    let at = problem.valueOffset + (valueLine + x) * problem.valueStride + quad;
    pooled[problem.pooledOffset + (line * problem.width + x) * problem.pooledStride + quad] =
      sum * slopeAt(problem.kind, problem.slope, values[at]);
  }
}

// Here `source` holds the derivatives of the input along directions and `pooled` receives those of the pooled numbers.
@compute @workgroup_size(THREADS)
fn along(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let problem = problems[0];
  let line = id.x + id.y * count.x;
  if (line >= problem.images * problem.outHeight) {
    return;
  }
  let image = line / problem.outHeight;
  let example = image % problem.examples;
  let chosenLine = (example * problem.outHeight + line % problem.outHeight) * problem.outWidth;
  let first = problem.sourceOffset + image * problem.height * problem.width * problem.sourceStride;
  for (var e = thread; e < problem.outWidth * problem.quads; e += THREADS) {
    let ox = e / problem.quads;
    let quad = e % problem.quads;
    let cells = chosen[(chosenLine + ox) * problem.quads + quad];
    var value = vec4f();
    for (var channel = 0u; channel < 4u; channel++) {
      value[channel] = source[first + cells[channel] * problem.sourceStride + quad][channel];
    }
    pooled[problem.pooledOffset + (line * problem.outWidth + ox) * problem.pooledStride + quad] = value;
  }
}
