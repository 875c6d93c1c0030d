// Add, Sub, Mul, Div, Pow and PRelu with broadcasting. The gradient of an operand that was
// broadcast is the sum over the elements it was used for, in memory order of the result.

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/gradient/walk.h"

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
/// As in PyTorch the exponent of 0 has no gradient.
struct Pow {
  static OCTET_INLINE float value(float a, float b) { return std::pow(a, b); }
  static OCTET_INLINE float da(float a, float b) { return b == 0 ? 0 : b * std::pow(a, b - 1); }
  static OCTET_INLINE float db(float a, float b) {
    return a == 0 ? 0 : std::pow(a, b) * std::log(a);
  }
};
/// Pow with the constant exponent 2.
struct Square {
  static OCTET_INLINE float value(float a, float) { return a * a; }
  static OCTET_INLINE float da(float a, float) { return 2 * a; }
  static OCTET_INLINE float db(float, float) { return 0; }
};
struct PRelu {
  static OCTET_INLINE float value(float a, float b) { return a > 0 ? a : b * a; }
  static OCTET_INLINE float da(float a, float b) { return a > 0 ? 1 : b; }
  static OCTET_INLINE float db(float a, float) { return a > 0 ? 0 : a; }
};

/// Of result, first and second operand; the result's last step is 1.
using OperandWalk = Walk<3>;

template <class F>
OCTET_INLINE void forward_loop(const OperandWalk& walk, const float* a, const float* b,
                               float* out) {
  const auto [count, steps] = walk.last();
  for_each_run(walk, [&, count = count, a_step = steps[1], b_step = steps[2]](const auto& at) {
    float* to = out + at[0];
    const float* pa = a + at[1];
    const float* pb = b + at[2];
    if (a_step == 1 && b_step == 1) {
      for (std::int64_t i = 0; i < count; ++i) to[i] = F::value(pa[i], pb[i]);
    } else {
      for (std::int64_t i = 0; i < count; ++i) to[i] = F::value(pa[i * a_step], pb[i * b_step]);
    }
  });
}

/// sums_a, sums_b: gradients of the operands, added to; nullptr where not wanted.
template <class F>
OCTET_INLINE void backward_loop(const OperandWalk& walk, const float* a, const float* b,
                                const float* g, float* sums_a, float* sums_b) {
  const auto [count, steps] = walk.last();
  for_each_run(walk, [&, count = count, a_step = steps[1], b_step = steps[2]](const auto& at) {
    const float* gradient = g + at[0];
    const float* pa = a + at[1];
    const float* pb = b + at[2];
    if (sums_a != nullptr) {
      float* to = sums_a + at[1];
      if (a_step == 1) {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i] += gradient[i] * F::da(pa[i], pb[i * b_step]);
        }
      } else {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i * a_step] += gradient[i] * F::da(pa[i * a_step], pb[i * b_step]);
        }
      }
    }
    if (sums_b != nullptr) {
      float* to = sums_b + at[2];
      if (b_step == 1) {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i] += gradient[i] * F::db(pa[i * a_step], pb[i]);
        }
      } else {
        for (std::int64_t i = 0; i < count; ++i) {
          to[i * b_step] += gradient[i] * F::db(pa[i * a_step], pb[i * b_step]);
        }
      }
    }
  });
}

#define OCTET_ARITHMETIC(F)                                                                      \
  OCTET_VECTOR_CLONES void F##_forward(const OperandWalk& walk, const float* a, const float* b,  \
                                       float* out) {                                             \
    forward_loop<F>(walk, a, b, out);                                                            \
  }                                                                                              \
  OCTET_VECTOR_CLONES void F##_backward(const OperandWalk& walk, const float* a, const float* b, \
                                        const float* g, float* sums_a, float* sums_b) {          \
    backward_loop<F>(walk, a, b, g, sums_a, sums_b);                                             \
  }
OCTET_ARITHMETIC(Add)
OCTET_ARITHMETIC(Sub)
OCTET_ARITHMETIC(Mul)
OCTET_ARITHMETIC(Div)
OCTET_ARITHMETIC(Pow)
OCTET_ARITHMETIC(Square)
OCTET_ARITHMETIC(PRelu)
#undef OCTET_ARITHMETIC

using ForwardLoop = void (*)(const OperandWalk&, const float*, const float*, float*);
using BackwardLoop = void (*)(const OperandWalk&, const float*, const float*, const float*, float*,
                              float*);

class ArithmeticGradient : public GradientOp {
 public:
  ArithmeticGradient(const OpSource& source, ForwardLoop forward, BackwardLoop backward)
      : walk_(make_walk<3>(source.output, {source.output_strides(), broadcast_steps(source, 0),
                                           broadcast_steps(source, 1)})),
        counts_{element_count(source.inputs[0]), element_count(source.inputs[1])},
        forward_(forward),
        backward_(backward) {}

  Status forward(const ForwardCall& call) const override {
    forward_(walk_, call.inputs[0], call.inputs[1], call.output);
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
    backward_(walk_, call.inputs[0], call.inputs[1], call.output_gradient, sums[0], sums[1]);
    return {};
  }

 private:
  OperandWalk walk_;
  std::array<std::int64_t, 2> counts_;
  ForwardLoop forward_;
  BackwardLoop backward_;
};

template <ForwardLoop F, BackwardLoop B>
MadeOp make_arithmetic(const OpSource& source) {
  OCTET_TRY(check_broadcast(source));
  return std::make_unique<ArithmeticGradient>(source, F, B);
}

MadeOp make_pow(const OpSource& source) {
  bool squares = false;
  if (const Tensor* exponent = source.constant(1); exponent != nullptr && exponent->size() == 1) {
    OCTET_ASSIGN(const Tensor number, to_f32(*exponent));
    squares = number.data<float>()[0] == 2;
  }
  return squares ? make_arithmetic<Square_forward, Square_backward>(source)
                 : make_arithmetic<Pow_forward, Pow_backward>(source);
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Add", make_arithmetic<Add_forward, Add_backward>},
    {"Sub", make_arithmetic<Sub_forward, Sub_backward>},
    {"Mul", make_arithmetic<Mul_forward, Mul_backward>},
    {"Div", make_arithmetic<Div_forward, Div_backward>},
    {"Pow", make_pow},
    {"PRelu", make_arithmetic<PRelu_forward, PRelu_backward>},
});

}  // namespace

std::span<const OpEntry> arithmetic_entries() { return entries; }

}  // namespace octet::gradient
