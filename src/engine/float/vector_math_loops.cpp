// The loops of vector_loops.h that evaluate elementary functions or sum in lanes.

#include <limits>

#include "engine/float/vector_loops.h"
#include "engine/float/vector_math.h"

namespace octet::float_engine::loops {
namespace {

template <class Fn>
OCTET_INLINE void unary(const float* __restrict x, float* __restrict out, std::int64_t n, Fn fn) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = fn(x[i]);
}

constexpr std::int64_t lanes = 16;

/// Adds fn(x[i]) in lanes: element i goes to lane i mod 16, whatever the instruction set.
template <class Fn>
OCTET_INLINE double sum_in_lanes(const float* x, std::int64_t n, Fn fn) {
  double total[lanes] = {};
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      total[lane] += fn(static_cast<double>(x[i + lane]));
    }
  }
  for (std::int64_t lane = 0; i < n; ++i, ++lane) total[lane] += fn(static_cast<double>(x[i]));
  for (std::int64_t width = lanes / 2; width > 0; width /= 2) {
    for (std::int64_t lane = 0; lane < width; ++lane) total[lane] += total[lane + width];
  }
  return total[0];
}

}  // namespace

OCTET_VECTOR_CLONES void exponential(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::exponential(v); });
}
OCTET_VECTOR_CLONES void logarithm(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::logarithm(v); });
}
OCTET_VECTOR_CLONES void error_function(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::error_function(v); });
}
OCTET_VECTOR_CLONES void sigmoid(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::sigmoid(v); });
}
OCTET_VECTOR_CLONES void hyperbolic_tangent(const float* x, float* out, std::int64_t n, float,
                                            float) {
  unary(x, out, n, [](float v) { return math::hyperbolic_tangent(v); });
}
OCTET_VECTOR_CLONES void softplus(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::softplus(v); });
}
OCTET_VECTOR_CLONES void mish(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::mish(v); });
}
OCTET_VECTOR_CLONES void gelu(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::gelu(v); });
}
OCTET_VECTOR_CLONES void gelu_tanh(const float* x, float* out, std::int64_t n, float, float) {
  unary(x, out, n, [](float v) { return math::gelu_tanh(v); });
}
OCTET_VECTOR_CLONES void swish(const float* x, float* out, std::int64_t n, float alpha, float) {
  unary(x, out, n, [alpha](float v) { return v * math::sigmoid(alpha * v); });
}
OCTET_VECTOR_CLONES void elu(const float* x, float* out, std::int64_t n, float scale, float gain) {
  unary(x, out, n, [scale, gain](float v) {
    const float negative = scale * math::exponential_minus_one(v);
    const float positive = gain * v;
    return math::select(v > 0.0F, positive, negative);
  });
}
OCTET_VECTOR_CLONES void celu(const float* x, float* out, std::int64_t n, float alpha, float) {
  unary(x, out, n, [alpha](float v) {
    const float bent = alpha * math::exponential_minus_one(v / alpha);
    const float positive = math::select(v < 0.0F, 0.0F, v);
    const float negative = math::select(bent > 0.0F, 0.0F, bent);
    return positive + negative;
  });
}

OCTET_VECTOR_CLONES double sum(const float* x, std::int64_t n) {
  return sum_in_lanes(x, n, [](double v) { return v; });
}
OCTET_VECTOR_CLONES double sum_of_squares(const float* x, std::int64_t n, double mean) {
  return sum_in_lanes(x, n, [mean](double v) { return (v - mean) * (v - mean); });
}
OCTET_VECTOR_CLONES float largest(const float* x, std::int64_t n) {
  constexpr float lowest = -std::numeric_limits<float>::infinity();
  float top[lanes];
  for (float& value : top) value = lowest;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      top[lane] = x[i + lane] > top[lane] ? x[i + lane] : top[lane];
    }
  }
  for (; i < n; ++i) top[0] = x[i] > top[0] ? x[i] : top[0];
  for (const float value : top) top[0] = value > top[0] ? value : top[0];
  return top[0];
}
OCTET_VECTOR_CLONES void exponential_of_difference(const float* x, float shift, float* out,
                                                   std::int64_t n) {
  unary(x, out, n, [shift](float v) { return math::exponential(v - shift); });
}
OCTET_VECTOR_CLONES void normalize(const float* x, float mean, float factor, float shift,
                                   float* out, std::int64_t n) {
  unary(x, out, n, [=](float v) { return (v - mean) * factor + shift; });
}
OCTET_VECTOR_CLONES void normalize_each(const float* __restrict x, float mean, float factor,
                                        const float* __restrict scale,
                                        const float* __restrict shift, float* __restrict out,
                                        std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * factor * scale[i] + shift[i];
}

}  // namespace octet::float_engine::loops
