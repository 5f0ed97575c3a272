const SOFTMAX = 1u;
const SIGMOID = 2u;
