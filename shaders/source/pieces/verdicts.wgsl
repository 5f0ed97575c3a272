// What became of a step.
const TAKEN = 0u;
const HELD = 1u;
const RESTORED = 2u;
