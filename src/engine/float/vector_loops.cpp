#include "engine/float/vector_loops.h"

#include "engine/float/vector_math.h"

namespace octet::float_engine::loops {
namespace {

template <class Fn>
OCTET_INLINE void binary(const float* __restrict a, int a_step, const float* __restrict b,
                         int b_step, float* __restrict out, std::int64_t n, Fn fn) {
  if (a_step == 1 && b_step == 1) {
    for (std::int64_t i = 0; i < n; ++i) out[i] = fn(a[i], b[i]);
  } else if (a_step == 1) {
    const float second = *b;
    for (std::int64_t i = 0; i < n; ++i) out[i] = fn(a[i], second);
  } else if (b_step == 1) {
    const float first = *a;
    for (std::int64_t i = 0; i < n; ++i) out[i] = fn(first, b[i]);
  } else {
    const float value = fn(*a, *b);
    for (std::int64_t i = 0; i < n; ++i) out[i] = value;
  }
}

template <class Fn>
OCTET_INLINE void unary(const float* __restrict x, float* __restrict out, std::int64_t n, Fn fn) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = fn(x[i]);
}

using math::limit;

}  // namespace

OCTET_VECTOR_CLONES void add(const float* a, int a_step, const float* b, int b_step, float* out,
                             std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x + y; });
}
OCTET_VECTOR_CLONES void subtract(const float* a, int a_step, const float* b, int b_step,
                                  float* out, std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x - y; });
}
OCTET_VECTOR_CLONES void multiply(const float* a, int a_step, const float* b, int b_step,
                                  float* out, std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x * y; });
}
OCTET_VECTOR_CLONES void divide(const float* a, int a_step, const float* b, int b_step, float* out,
                                std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x / y; });
}
OCTET_VECTOR_CLONES void maximum(const float* a, int a_step, const float* b, int b_step, float* out,
                                 std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x > y || x != x ? x : y; });
}
OCTET_VECTOR_CLONES void minimum(const float* a, int a_step, const float* b, int b_step, float* out,
                                 std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float y) { return x < y || x != x ? x : y; });
}

OCTET_VECTOR_CLONES void relu(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return v < 0 ? 0.0F : v; });
}
OCTET_VECTOR_CLONES void leaky_relu(const float* x, float* out, std::int64_t n, float slope,
                                    float) {
  unary(x, out, n, [slope](float v) {
    const float scaled = v * slope;
    return v < 0 ? scaled : v;
  });
}
OCTET_VECTOR_CLONES void clip(const float* x, float* out, std::int64_t n, float low, float high) {
  unary(x, out, n, [low, high](float v) { return limit(v, low, high); });
}
OCTET_VECTOR_CLONES void hard_sigmoid(const float* x, float* out, std::int64_t n, float alpha,
                                      float beta) {
  unary(x, out, n, [alpha, beta](float v) { return limit(alpha * v + beta, 0.0F, 1.0F); });
}
OCTET_VECTOR_CLONES void hard_swish(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return v * limit(v * (1.0F / 6.0F) + 0.5F, 0.0F, 1.0F); });
}
OCTET_VECTOR_CLONES void negate(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return -v; });
}
OCTET_VECTOR_CLONES void square_root(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return __builtin_sqrtf(v); });
}

OCTET_VECTOR_CLONES void absolute(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return __builtin_fabsf(v); });
}
OCTET_VECTOR_CLONES void reciprocal(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return 1.0F / v; });
}
OCTET_VECTOR_CLONES void floor(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return __builtin_floorf(v); });
}
OCTET_VECTOR_CLONES void ceiling(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return __builtin_ceilf(v); });
}
OCTET_VECTOR_CLONES void nearest(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return round_half_even(v); });
}
OCTET_VECTOR_CLONES void square(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return v * v; });
}
OCTET_VECTOR_CLONES void thresholded_relu(const float* x, float* out, std::int64_t n, float alpha,
                                          float) {
  unary(x, out, n, [alpha](float v) { return v > alpha ? v : 0.0F; });
}
OCTET_VECTOR_CLONES void softsign(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return v / (1.0F + __builtin_fabsf(v)); });
}
OCTET_VECTOR_CLONES void parametric_relu(const float* a, int a_step, const float* b, int b_step,
                                         float* out, std::int64_t n) {
  binary(a, a_step, b, b_step, out, n, [](float x, float slope) {
    const float scaled = x * slope;
    return x < 0 ? scaled : x;
  });
}

OCTET_VECTOR_CLONES void scale_shift(const float* x, float scale, float shift, float* out,
                                     std::int64_t n) {
  unary(x, out, n, [scale, shift](float v) { return v * scale + shift; });
}
OCTET_VECTOR_CLONES void scale_shift_each(const float* __restrict x, const float* __restrict scale,
                                          const float* __restrict shift, float* __restrict out,
                                          std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = x[i] * scale[i] + shift[i];
}
OCTET_VECTOR_CLONES void divide_by(float* values, float divisor, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) values[i] /= divisor;
}
OCTET_VECTOR_CLONES void divide_by_each(float* __restrict values, const float* __restrict divisors,
                                        std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) values[i] /= divisors[i];
}
OCTET_VECTOR_CLONES void maximum_into(float* __restrict accumulator, const float* __restrict x,
                                      std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) {
    accumulator[i] = x[i] > accumulator[i] ? x[i] : accumulator[i];
  }
}
OCTET_VECTOR_CLONES void add_into(float* __restrict accumulator, const float* __restrict x,
                                  std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) accumulator[i] += x[i];
}
OCTET_VECTOR_CLONES void add_scaled_rows(const float* __restrict x, const float* __restrict rows,
                                         std::int64_t count, float* __restrict sums,
                                         std::int64_t n) {
  std::int64_t row = 0;
  for (; row + 4 <= count; row += 4) {
    const float* at = rows + row * n;
    const float a = x[row];
    const float b = x[row + 1];
    const float c = x[row + 2];
    const float d = x[row + 3];
    for (std::int64_t i = 0; i < n; ++i) {
      sums[i] = (((sums[i] + a * at[i]) + b * at[n + i]) + c * at[2 * n + i]) + d * at[3 * n + i];
    }
  }
  for (; row < count; ++row) {
    for (std::int64_t i = 0; i < n; ++i) sums[i] += x[row] * rows[row * n + i];
  }
}
OCTET_VECTOR_CLONES void add_into_double(double* __restrict accumulator, const float* __restrict x,
                                         std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) accumulator[i] += static_cast<double>(x[i]);
}

}  // namespace octet::float_engine::loops
