# // Needs `number` and `problems`; gives the index of the problem that the workgroup of this number serves.
// The last problem whose first workgroup is not after this one.
var index = 0u;
for (var end = arrayLength(&problems); end - index > 1u;) {
  let middle = (index + end) / 2u;
  let before = problems[middle].first <= number;
  index = select(index, middle, before);
  end = select(middle, end, before);
}
