// Functions of one value, element by element. Each states y = f(x) and dy/dx in terms of x and y.

#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/float/vector_clones.h"
#include "engine/float/vector_math.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

namespace math = float_engine::math;

struct Constants {
  float a = 0;
  float b = 0;
};

struct Relu {
  static OCTET_INLINE float value(float x, Constants) { return x > 0 ? x : 0; }
  static OCTET_INLINE float slope(float x, float, Constants) { return x > 0 ? 1.0F : 0.0F; }
};
struct LeakyRelu {
  static OCTET_INLINE float value(float x, Constants k) { return x > 0 ? x : k.a * x; }
  static OCTET_INLINE float slope(float x, float, Constants k) { return x > 0 ? 1.0F : k.a; }
};
/// Clip to [a, b]; as in PyTorch the bounds themselves pass the gradient.
struct Clip {
  static OCTET_INLINE float value(float x, Constants k) {
    return x < k.a ? k.a : x > k.b ? k.b : x;
  }
  static OCTET_INLINE float slope(float x, float, Constants k) {
    return x >= k.a && x <= k.b ? 1.0F : 0.0F;
  }
};
struct Sigmoid {
  static OCTET_INLINE float value(float x, Constants) { return 1 / (1 + math::exponential(-x)); }
  static OCTET_INLINE float slope(float, float y, Constants) { return y * (1 - y); }
};
struct Tanh {
  static OCTET_INLINE float value(float x, Constants) {
    return 2 / (1 + math::exponential(-2 * x)) - 1;
  }
  static OCTET_INLINE float slope(float, float y, Constants) { return 1 - y * y; }
};
/// clip(a * x + b, 0, 1)
struct HardSigmoid {
  static OCTET_INLINE float value(float x, Constants k) {
    const float y = k.a * x + k.b;
    return y < 0 ? 0 : y > 1 ? 1 : y;
  }
  static OCTET_INLINE float slope(float x, float, Constants k) {
    const float y = k.a * x + k.b;
    return y > 0 && y < 1 ? k.a : 0;
  }
};
/// x * clip(x / 6 + 1/2, 0, 1)
struct HardSwish {
  static OCTET_INLINE float value(float x, Constants) {
    const float gate = x / 6 + 0.5F;
    return x * (gate < 0 ? 0 : gate > 1 ? 1 : gate);
  }
  static OCTET_INLINE float slope(float x, float, Constants) {
    return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5F;
  }
};
/// x * sigmoid(x)
struct Swish {
  static OCTET_INLINE float value(float x, Constants) { return x / (1 + math::exponential(-x)); }
  static OCTET_INLINE float slope(float x, float, Constants) {
    const float s = 1 / (1 + math::exponential(-x));
    return s * (1 + x * (1 - s));
  }
};
struct Negative {
  static OCTET_INLINE float value(float x, Constants) { return -x; }
  static OCTET_INLINE float slope(float, float, Constants) { return -1; }
};

/// As in PyTorch, 0 at 0.
struct Absolute {
  static OCTET_INLINE float value(float x, Constants) { return std::fabs(x); }
  static OCTET_INLINE float slope(float x, float, Constants) {
    return x > 0 ? 1.0F : x < 0 ? -1.0F : 0.0F;
  }
};
struct Reciprocal {
  static OCTET_INLINE float value(float x, Constants) { return 1 / x; }
  static OCTET_INLINE float slope(float, float y, Constants) { return -y * y; }
};
/// x > 0: x, else a (exp(x) - 1)
struct Elu {
  static OCTET_INLINE float value(float x, Constants k) {
    return x > 0 ? x : k.a * (math::exponential(x) - 1);
  }
  static OCTET_INLINE float slope(float x, float y, Constants k) { return x > 0 ? 1 : y + k.a; }
};
struct Exp {
  static OCTET_INLINE float value(float x, Constants) { return math::exponential(x); }
  static OCTET_INLINE float slope(float, float y, Constants) { return y; }
};
struct Log {
  static OCTET_INLINE float value(float x, Constants) { return std::log(x); }
  static OCTET_INLINE float slope(float x, float, Constants) { return 1 / x; }
};
struct Sqrt {
  static OCTET_INLINE float value(float x, Constants) { return std::sqrt(x); }
  static OCTET_INLINE float slope(float, float y, Constants) { return 0.5F / y; }
};
struct Erf {
  static OCTET_INLINE float value(float x, Constants) { return std::erf(x); }
  static OCTET_INLINE float slope(float x, float, Constants) {
    return 2 * std::numbers::inv_sqrtpi_v<float> * math::exponential(-x * x);
  }
};
/// x Phi(x), Phi the cumulative normal distribution.
struct Gelu {
  static OCTET_INLINE float cumulative(float x) {
    return 0.5F * (1 + std::erf(x / std::numbers::sqrt2_v<float>));
  }
  static OCTET_INLINE float value(float x, Constants) { return x * cumulative(x); }
  static OCTET_INLINE float slope(float x, float, Constants) {
    constexpr float density = std::numbers::inv_sqrtpi_v<float> / std::numbers::sqrt2_v<float>;
    return cumulative(x) + x * density * math::exponential(-0.5F * x * x);
  }
};
/// x / 2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3): x sigmoid(2 u).
struct GeluTanh {
  static constexpr float factor = std::numbers::sqrt2_v<float> * std::numbers::inv_sqrtpi_v<float>;
  static OCTET_INLINE float gate(float x) {
    return 1 / (1 + math::exponential(-2 * factor * (x + 0.044715F * x * x * x)));
  }
  static OCTET_INLINE float value(float x, Constants) { return x * gate(x); }
  static OCTET_INLINE float slope(float x, float, Constants) {
    const float s = gate(x);
    return s + x * s * (1 - s) * 2 * factor * (1 + 3 * 0.044715F * x * x);
  }
};

template <class F>
OCTET_INLINE void forward_loop(const float* __restrict x, float* __restrict y, std::int64_t count,
                               Constants k) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = F::value(x[i], k);
}
template <class F>
OCTET_INLINE void backward_loop(const float* __restrict x, const float* __restrict y,
                                const float* __restrict g, float* __restrict out, bool add,
                                std::int64_t count, Constants k) {
  if (add) {
    for (std::int64_t i = 0; i < count; ++i) out[i] += g[i] * F::slope(x[i], y[i], k);
  } else {
    for (std::int64_t i = 0; i < count; ++i) out[i] = g[i] * F::slope(x[i], y[i], k);
  }
}

// target_clones does not go with templates: one pair of functions for each.
#define OCTET_ACTIVATION(F)                                                                     \
  OCTET_VECTOR_CLONES void F##_forward(const float* x, float* y, std::int64_t n, Constants k) { \
    forward_loop<F>(x, y, n, k);                                                                \
  }                                                                                             \
  OCTET_VECTOR_CLONES void F##_backward(const float* x, const float* y, const float* g,         \
                                        float* out, bool add, std::int64_t n, Constants k) {    \
    backward_loop<F>(x, y, g, out, add, n, k);                                                  \
  }
OCTET_ACTIVATION(Relu)
OCTET_ACTIVATION(LeakyRelu)
OCTET_ACTIVATION(Clip)
OCTET_ACTIVATION(Sigmoid)
OCTET_ACTIVATION(Tanh)
OCTET_ACTIVATION(HardSigmoid)
OCTET_ACTIVATION(HardSwish)
OCTET_ACTIVATION(Swish)
OCTET_ACTIVATION(Negative)
OCTET_ACTIVATION(Absolute)
OCTET_ACTIVATION(Reciprocal)
OCTET_ACTIVATION(Elu)
OCTET_ACTIVATION(Exp)
OCTET_ACTIVATION(Log)
OCTET_ACTIVATION(Sqrt)
OCTET_ACTIVATION(Erf)
OCTET_ACTIVATION(Gelu)
OCTET_ACTIVATION(GeluTanh)
#undef OCTET_ACTIVATION

using ForwardLoop = void (*)(const float*, float*, std::int64_t, Constants);
using BackwardLoop = void (*)(const float*, const float*, const float*, float*, bool, std::int64_t,
                              Constants);

class ActivationGradient : public GradientOp {
 public:
  ActivationGradient(const OpSource& source, ForwardLoop forward, BackwardLoop backward,
                     Constants constants)
      : count_(element_count(source.output)),
        forward_(forward),
        backward_(backward),
        constants_(constants) {}

  Status forward(const ForwardCall& call) const override {
    forward_(call.inputs[0], call.output, count_, constants_);
    return {};
  }
  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    if (to) {
      backward_(call.inputs[0], call.output, call.output_gradient, to.data, to.add, count_,
                constants_);
    }
    return {};
  }

 private:
  std::int64_t count_;
  ForwardLoop forward_;
  BackwardLoop backward_;
  Constants constants_;
};

template <ForwardLoop F, BackwardLoop B>
MadeOp make_plain(const OpSource& source) {
  return std::make_unique<ActivationGradient>(source, F, B, Constants{});
}

MadeOp make_gelu(const OpSource& source) {
  const bool by_tanh = source.node.string_attribute("approximate", "none") == "tanh";
  return by_tanh ? make_plain<GeluTanh_forward, GeluTanh_backward>(source)
                 : make_plain<Gelu_forward, Gelu_backward>(source);
}

MadeOp make_leaky_relu(const OpSource& source) {
  return std::make_unique<ActivationGradient>(
      source, LeakyRelu_forward, LeakyRelu_backward,
      Constants{source.node.float_attribute("alpha", 0.01F), 0});
}

MadeOp make_elu(const OpSource& source) {
  return std::make_unique<ActivationGradient>(
      source, Elu_forward, Elu_backward, Constants{source.node.float_attribute("alpha", 1.0F), 0});
}

MadeOp make_hard_sigmoid(const OpSource& source) {
  return std::make_unique<ActivationGradient>(source, HardSigmoid_forward, HardSigmoid_backward,
                                              Constants{source.node.float_attribute("alpha", 0.2F),
                                                        source.node.float_attribute("beta", 0.5F)});
}

Result<float> bound(const OpSource& source, std::size_t input, float otherwise) {
  if (!source.has(input)) return otherwise;
  const Tensor* limit = source.constant(input);
  if (limit == nullptr || limit->dtype() != DType::f32 || limit->size() != 1) {
    return bad_input("its bounds are no constants");
  }
  return limit->data<float>()[0];
}

MadeOp make_clip(const OpSource& source) {
  constexpr float most = std::numeric_limits<float>::infinity();
  OCTET_ASSIGN(const float low, bound(source, 1, -most));
  OCTET_ASSIGN(const float high, bound(source, 2, most));
  return std::make_unique<ActivationGradient>(source, Clip_forward, Clip_backward,
                                              Constants{low, high});
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Relu", make_plain<Relu_forward, Relu_backward>},
    {"LeakyRelu", make_leaky_relu},
    {"Clip", make_clip},
    {"Sigmoid", make_plain<Sigmoid_forward, Sigmoid_backward>},
    {"Tanh", make_plain<Tanh_forward, Tanh_backward>},
    {"HardSigmoid", make_hard_sigmoid},
    {"HardSwish", make_plain<HardSwish_forward, HardSwish_backward>},
    {"Swish", make_plain<Swish_forward, Swish_backward>},
    {"Neg", make_plain<Negative_forward, Negative_backward>},
    {"Abs", make_plain<Absolute_forward, Absolute_backward>},
    {"Reciprocal", make_plain<Reciprocal_forward, Reciprocal_backward>},
    {"Elu", make_elu},
    {"Exp", make_plain<Exp_forward, Exp_backward>},
    {"Log", make_plain<Log_forward, Log_backward>},
    {"Sqrt", make_plain<Sqrt_forward, Sqrt_backward>},
    {"Erf", make_plain<Erf_forward, Erf_backward>},
    {"Gelu", make_gelu},
});

}  // namespace

std::span<const OpEntry> activation_entries() { return entries; }

}  // namespace octet::gradient
