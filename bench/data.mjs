// Random inputs, the same in every run.

/** Uniform numbers in [0, 1). @param {number} seed */
export function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let word = Math.imul(state ^ (state >>> 15), state | 1);
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
    return ((word ^ (word >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Numbers of mean 0 and variance 1. @param {number} length @param {number} seed */
export function randoms(length, seed) {
  const next = generator(seed);
  const scale = Math.sqrt(12);
  const out = new Float32Array(length);
  for (let k = 0; k < length; k++) out[k] = scale * (next() - 0.5);
  return out;
}

/**
 * A symmetric positive definite matrix with known eigenvalues from 1 down to 1/condition, evenly spaced by logarithm:
 * reflections of a diagonal matrix, in f64. n of them give any rotation there is; a few a dense matrix in a moment.
 * @param {number} n @param {number} condition @param {number} seed
 * @param {number} [reflections]
 * @returns {Float64Array} n × n
 */
export function spd(n, condition, seed, reflections = 3) {
  const S = new Float64Array(n * n);
  for (let i = 0; i < n; i++) S[i * n + i] = n === 1 ? 1 : condition ** (-i / (n - 1));
  const next = generator(seed);
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k < reflections; k++) {
    let norm = 0;
    for (let i = 0; i < n; i++) {
      v[i] = normal(next);
      norm += v[i] * v[i];
    }
    for (let i = 0; i < n; i++) v[i] /= Math.sqrt(norm);
    reflect(S, v, w, n);
  }
  return S;
}

/**
 * S ← H S H with H = I − 2vv': S − v w' − w v', w = 2(Sv − (v'Sv) v).
 * @param {Float64Array} S @param {Float64Array} v @param {Float64Array} w takes w @param {number} n
 */
function reflect(S, v, w, n) {
  let inner = 0;
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let j = 0; j < n; j++) sum += S[i * n + j] * v[j];
    w[i] = sum;
    inner += sum * v[i];
  }
  for (let i = 0; i < n; i++) w[i] = 2 * (w[i] - inner * v[i]);
  for (let i = 0; i < n; i++) {
    const [vi, wi] = [v[i], w[i]];
    for (let j = 0; j <= i; j++) {
      const value = S[i * n + j] - vi * w[j] - wi * v[j];
      S[i * n + j] = value;
      S[j * n + i] = value;
    }
  }
}

/** @param {() => number} next */
function normal(next) {
  return Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
}

/** rows × cols to cols × rows. @param {Float32Array} data @param {number} rows @param {number} cols */
export function transposed(data, rows, cols) {
  const out = new Float32Array(data.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) out[j * rows + i] = data[i * cols + j];
  return out;
}

/**
 * How many sets of inputs it takes to pass the cache.
 * @param {number} bytes of one set @param {number} cacheBytes
 */
export function setsFor(bytes, cacheBytes) {
  return Math.max(2, Math.min(64, Math.ceil((2 * cacheBytes) / bytes)));
}
