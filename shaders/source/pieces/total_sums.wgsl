# // Adds up the parts of each layer's first `kinds` sums, in the order of the chunks, into `sums` from element SUMS · l on; only one
# // thread goes on. Needs `layers`, `sums` and `thread`; `threads` are those of the workgroup.
for (var task = thread; task < arrayLength(&layers) * ${kinds}; task += ${threads}) {
  sums[task / ${kinds} * SUMS + task % ${kinds}] = total(layers[task / ${kinds}], task % ${kinds});
}
storageBarrier();
workgroupBarrier();
if (thread != 0u) {
  return;
}
