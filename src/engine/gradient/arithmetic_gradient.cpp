// Add, Sub, Mul and Div with broadcasting. The gradient of an operand that was broadcast is the sum
// over the elements it was used for, in memory order of the result.

#include <algorithm>
#include <array>
#include <numeric>

#include "engine/float/vector_clones.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

struct Add {
  static OCTET_INLINE float value(float a, float b) { return a + b; }
  static OCTET_INLINE float da(float, float) { return 1; }
  static OCTET_INLINE float db(float, float) { return 1; }
};
struct Sub {
  static OCTET_INLINE float value(float a, float b) { return a - b; }
  static OCTET_INLINE float da(float, float) { return 1; }
  static OCTET_INLINE float db(float, float) { return -1; }
};
struct Mul {
  static OCTET_INLINE float value(float a, float b) { return a * b; }
  static OCTET_INLINE float da(float, float b) { return b; }
  static OCTET_INLINE float db(float a, float) { return a; }
};
struct Div {
  static OCTET_INLINE float value(float a, float b) { return a / b; }
  static OCTET_INLINE float da(float, float b) { return 1 / b; }
  static OCTET_INLINE float db(float a, float b) { return -a / (b * b); }
};

/// One axis of the result, in memory order, with the steps of both operands along it (0 where they
/// are broadcast).
struct Axis {
  std::int64_t extent = 1;
  std::int64_t a = 0;
  std::int64_t b = 0;
};

std::vector<std::int64_t> steps_of(const Shape& operand, bool parameter, std::size_t rank) {
  const auto strides = strides_of(operand, parameter);
  std::vector<std::int64_t> steps(rank, 0);
  for (std::size_t i = 0; i < operand.size(); ++i) {
    if (operand[i] != 1) steps[rank - operand.size() + i] = strides[i];
  }
  return steps;
}

std::vector<Axis> axes_of(const OpSource& source) {
  const auto rank = source.output.size();
  const auto a = steps_of(source.inputs[0], source.parameters[0], rank);
  const auto b = steps_of(source.inputs[1], source.parameters[1], rank);
  const auto out = strides_of(source.output, false);
  std::vector<std::size_t> order(rank);
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t i, std::size_t j) { return out[i] > out[j]; });
  std::vector<Axis> axes;
  for (const auto i : order) {
    const Axis axis{source.output[i], a[i], b[i]};
    if (axis.extent == 1) continue;
    // Axes that both operands walk through evenly are one.
    if (!axes.empty() && axes.back().a == axis.a * axis.extent &&
        axes.back().b == axis.b * axis.extent) {
      axes.back() = {axes.back().extent * axis.extent, axis.a, axis.b};
    } else {
      axes.push_back(axis);
    }
  }
  if (axes.empty()) axes.push_back({});
  return axes;
}

/// Calls fn(result offset, a offset, b offset) for every run along the last axis.
template <class Fn>
OCTET_INLINE void for_each_run(const std::vector<Axis>& axes, const Fn& fn) {
  std::int64_t outer = 1;
  for (std::size_t i = 0; i + 1 < axes.size(); ++i) outer *= axes[i].extent;
  for (std::int64_t n = 0; n < outer; ++n) {
    std::int64_t a = 0;
    std::int64_t b = 0;
    std::int64_t rest = n;
    for (std::size_t i = axes.size() - 1; i-- > 0;) {
      const auto at = rest % axes[i].extent;
      rest /= axes[i].extent;
      a += at * axes[i].a;
      b += at * axes[i].b;
    }
    fn(n * axes.back().extent, a, b);
  }
}

template <class F>
OCTET_INLINE void forward_loop(const std::vector<Axis>& axes, const float* a, const float* b,
                               float* out) {
  const Axis last = axes.back();
  for_each_run(axes, [&](std::int64_t o, std::int64_t ia, std::int64_t ib) {
    float* to = out + o;
    const float* pa = a + ia;
    const float* pb = b + ib;
    if (last.a == 1 && last.b == 1) {
      for (std::int64_t i = 0; i < last.extent; ++i) to[i] = F::value(pa[i], pb[i]);
    } else {
      for (std::int64_t i = 0; i < last.extent; ++i) {
        to[i] = F::value(pa[i * last.a], pb[i * last.b]);
      }
    }
  });
}

/// sums_a, sums_b: gradients of the operands, added to; nullptr where not wanted.
template <class F>
OCTET_INLINE void backward_loop(const std::vector<Axis>& axes, const float* a, const float* b,
                                const float* g, float* sums_a, float* sums_b) {
  const Axis last = axes.back();
  for_each_run(axes, [&](std::int64_t o, std::int64_t ia, std::int64_t ib) {
    const float* gradient = g + o;
    const float* pa = a + ia;
    const float* pb = b + ib;
    if (sums_a != nullptr) {
      float* to = sums_a + ia;
      if (last.a == 1) {
        for (std::int64_t i = 0; i < last.extent; ++i) {
          to[i] += gradient[i] * F::da(pa[i], pb[i * last.b]);
        }
      } else {
        for (std::int64_t i = 0; i < last.extent; ++i) {
          to[i * last.a] += gradient[i] * F::da(pa[i * last.a], pb[i * last.b]);
        }
      }
    }
    if (sums_b != nullptr) {
      float* to = sums_b + ib;
      if (last.b == 1) {
        for (std::int64_t i = 0; i < last.extent; ++i) {
          to[i] += gradient[i] * F::db(pa[i * last.a], pb[i]);
        }
      } else {
        for (std::int64_t i = 0; i < last.extent; ++i) {
          to[i * last.b] += gradient[i] * F::db(pa[i * last.a], pb[i * last.b]);
        }
      }
    }
  });
}

#define OCTET_ARITHMETIC(F)                                                            \
  OCTET_VECTOR_CLONES void F##_forward(const std::vector<Axis>& axes, const float* a,  \
                                       const float* b, float* out) {                   \
    forward_loop<F>(axes, a, b, out);                                                  \
  }                                                                                    \
  OCTET_VECTOR_CLONES void F##_backward(const std::vector<Axis>& axes, const float* a, \
                                        const float* b, const float* g, float* sums_a, \
                                        float* sums_b) {                               \
    backward_loop<F>(axes, a, b, g, sums_a, sums_b);                                   \
  }
OCTET_ARITHMETIC(Add)
OCTET_ARITHMETIC(Sub)
OCTET_ARITHMETIC(Mul)
OCTET_ARITHMETIC(Div)
#undef OCTET_ARITHMETIC

using ForwardLoop = void (*)(const std::vector<Axis>&, const float*, const float*, float*);
using BackwardLoop = void (*)(const std::vector<Axis>&, const float*, const float*, const float*,
                              float*, float*);

class ArithmeticGradient : public GradientOp {
 public:
  ArithmeticGradient(const OpSource& source, ForwardLoop forward, BackwardLoop backward)
      : axes_(axes_of(source)),
        counts_{element_count(source.inputs[0]), element_count(source.inputs[1])},
        forward_(forward),
        backward_(backward) {}

  Status forward(const ForwardCall& call) const override {
    forward_(axes_, call.inputs[0], call.inputs[1], call.output);
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    std::array<float*, 2> sums{};
    for (std::size_t i = 0; i < 2; ++i) {
      const Target& to = call.input_gradients[i];
      if (!to) continue;
      if (!to.add) std::fill_n(to.data, counts_[i], 0.0F);
      sums[i] = to.data;
    }
    backward_(axes_, call.inputs[0], call.inputs[1], call.output_gradient, sums[0], sums[1]);
    return {};
  }

 private:
  std::vector<Axis> axes_;
  std::array<std::int64_t, 2> counts_;
  ForwardLoop forward_;
  BackwardLoop backward_;
};

template <ForwardLoop F, BackwardLoop B>
MadeOp make_arithmetic(const OpSource& source) {
  return std::make_unique<ArithmeticGradient>(source, F, B);
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Add", make_arithmetic<Add_forward, Add_backward>},
    {"Sub", make_arithmetic<Sub_forward, Sub_backward>},
    {"Mul", make_arithmetic<Mul_forward, Mul_backward>},
    {"Div", make_arithmetic<Div_forward, Div_backward>},
});

}  // namespace

std::span<const OpEntry> arithmetic_entries() { return entries; }

}  // namespace octet::gradient
