# // The product of a tile in registers alone, up to the sums c<row>_<half>; 8 × 8 numbers a thread. Parameters of every form:
# //   a, aStart, aStride, b, bStart, bStride   buffers, first row and stride of the operands, in vec4f
# //   m, n, k                                   rows and columns of the result, and rows to sum over
# //   lower                                     whether only tiles that reach to the diagonal or below are wanted
# //   tileCols                                  tiles side by side
# //   sizes(width)                              text that declares m and n, and tileCols for tiles of that width
# //   operands()                                text that declares strides and k
# //   store()                                   functions that the kernel ends with, if any
override THREADS_I: u32 = 1;
override THREADS_J: u32 = 8;

# store();
@compute @workgroup_size(THREADS_J, THREADS_I)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) count: vec3u,
  @builtin(local_invocation_id) thread: vec3u,
) {
  # include("find_problem");
  let problem = &problems[index];
# sizes("8u * THREADS_J");
  let tile = number - (*problem).first;
  let i = ((tile / ${tileCols}) * THREADS_I + thread.y) * 8u;
  let j = ((tile % ${tileCols}) * THREADS_J + thread.x) * 8u;
  if (i >= ${m} || ${lower ? "j > i" : `j >= ${n}`}) {
    return;
  }
# operands();

  # include("product/accumulators", { height: 4 * high, quads: wide });
  var ai = ${aStart} + i / 4u;
  var bj = ${bStart} + j / 4u;
  for (var step = 0u; step < ${k}; step++) {
    let b_0 = ${b("bj")};
    let b_1 = ${b("bj + 1u")};
    let a_0 = ${a("ai")};
    let a_1 = ${a("ai + 1u")};
    # include("product/outer", { left: "a", right: "b" });
    ai += ${aStride};
    bj += ${bStride};
  }
