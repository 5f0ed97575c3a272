const KIND_RELU = 1u;
const KIND_LEAKY_RELU = 2u;
const KIND_TANH = 3u;
const KIND_LOGISTIC = 4u;
