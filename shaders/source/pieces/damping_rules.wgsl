// What λ is: the setting itself, so large a share of the running loss, or steered by the reduction ratio.
const FIXED = 0u;
const RELATIVE = 1u;
const RATIO = 2u;
