// Operators of one input, element by element.

#include <array>
#include <cmath>
#include <limits>

#include "arithmetic/round.h"
#include "engine/float/blocks.h"
#include "engine/float/element_types.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

/// Elements that a thread takes at least.
constexpr std::int64_t grain = 16 * 1024;

struct F32Loop {
  loops::UnaryF32 loop = nullptr;
  float p = 0;
  float q = 0;
};

Outputs run_f32(const Activation& x, const F32Loop& f) {
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.tensor.shape()));
  const auto* from = x.tensor.data<float>();
  auto* to = out.mutable_data<float>();
  for_blocks(out.size(), grain, [&](std::int64_t begin, std::int64_t end) {
    f.loop(from + begin, to + begin, end - begin, f.p, f.q);
  });
  return one_output(std::move(out), x.channels_last);
}

/// Applies fn to every element of a plain tensor.
template <class T, class Fn>
Outputs map_elements(const Tensor& x, Fn fn) {
  OCTET_ASSIGN(Tensor out, new_tensor(x.dtype(), x.shape()));
  T* to = out.mutable_data<T>();
  for (const T value : x.values<T>()) *to++ = static_cast<T>(fn(value));
  return one_output(std::move(out));
}

using F64 = double (*)(double);

/// An operator on floating point: a loop for f32, a function for f64 (nullptr: f32 only).
MadeOp make_float(const OpSource& source, const F32Loop& f32, F64 f64) {
  return make_function(source, InputOrder::any, [f32, f64](Inputs inputs) -> Outputs {
    const Activation& x = *inputs[0];
    if (x.tensor.dtype() == DType::f64 && f64 != nullptr)
      return map_elements<double>(x.tensor, f64);
    OCTET_TRY(require_f32(x.tensor, "its input"));
    return run_f32(x, f32);
  });
}

template <loops::UnaryF32 loop, F64 f64 = nullptr>
MadeOp make_simple(const OpSource& source) {
  return make_float(source, {loop}, f64);
}

/// An f32 loop over a scalar function, for what is rare.
template <float (*function)(float)>
void map(const float* x, float* out, std::int64_t n, float, float) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = function(x[i]);
}

float sine(float x) { return std::sin(x); }
float cosine(float x) { return std::cos(x); }

double sigmoid_of(double x) {
  const double e = std::exp(-std::fabs(x));
  return x < 0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}
double reciprocal_of(double x) { return 1.0 / x; }

/// An operator on all numbers: a loop for f32 and fn for the rest.
template <class Fn>
MadeOp make_any(const OpSource& source, const F32Loop& f32, Fn fn) {
  return make_function(source, InputOrder::any, [f32, fn](Inputs inputs) -> Outputs {
    const Activation& x = *inputs[0];
    if (x.tensor.dtype() == DType::f32) return run_f32(x, f32);
    return with_number(x.tensor.dtype(),
                       [&]<class T>(T) -> Outputs { return map_elements<T>(x.tensor, fn); });
  });
}

MadeOp make_negate(const OpSource& source) {
  return make_any(source, {loops::negate}, []<class T>(T v) {
    if constexpr (std::is_floating_point_v<T>) return -v;
    return wrapping_subtract(T{0}, v);
  });
}

MadeOp make_absolute(const OpSource& source) {
  return make_any(source, {loops::absolute}, []<class T>(T v) {
    if constexpr (std::is_floating_point_v<T>) return std::fabs(v);
    return v < T{0} ? wrapping_subtract(T{0}, v) : v;
  });
}

template <class T>
T sign_of(T v) {
  if constexpr (std::is_floating_point_v<T>) {
    if (v != v) return v;
  }
  return static_cast<T>((v > T{0} ? 1 : 0) - (v < T{0} ? 1 : 0));
}

MadeOp make_sign(const OpSource& source) {
  return make_any(source, {map<sign_of<float>>}, []<class T>(T v) { return sign_of(v); });
}

MadeOp make_relu(const OpSource& source) {
  return make_any(source, {loops::relu}, []<class T>(T v) { return v < T{0} ? T{0} : v; });
}

MadeOp make_leaky_relu(const OpSource& source) {
  return make_float(source, {loops::leaky_relu, source.node.float_attribute("alpha", 0.01F)},
                    nullptr);
}

MadeOp make_hard_sigmoid(const OpSource& source) {
  return make_float(source,
                    {loops::hard_sigmoid, source.node.float_attribute("alpha", 0.2F),
                     source.node.float_attribute("beta", 0.5F)},
                    nullptr);
}

MadeOp make_thresholded_relu(const OpSource& source) {
  return make_float(source, {loops::thresholded_relu, source.node.float_attribute("alpha", 1.0F)},
                    nullptr);
}

MadeOp make_elu(const OpSource& source) {
  return make_float(source, {loops::elu, source.node.float_attribute("alpha", 1.0F), 1.0F},
                    nullptr);
}

MadeOp make_selu(const OpSource& source) {
  const float alpha = source.node.float_attribute("alpha", 1.67326319217681884765625F);
  const float gamma = source.node.float_attribute("gamma", 1.05070102214813232421875F);
  return make_float(source, {loops::elu, gamma * alpha, gamma}, nullptr);
}

MadeOp make_celu(const OpSource& source) {
  const float alpha = source.node.float_attribute("alpha", 1.0F);
  if (alpha == 0.0F) return bad_input("alpha must not be 0");
  return make_float(source, {loops::celu, alpha}, nullptr);
}

MadeOp make_swish(const OpSource& source) {
  return make_float(source, {loops::swish, source.node.float_attribute("alpha", 1.0F)}, nullptr);
}

MadeOp make_gelu(const OpSource& source) {
  const auto form = source.node.string_attribute("approximate", "none");
  if (form == "none") return make_float(source, {loops::gelu}, nullptr);
  if (form == "tanh") return make_float(source, {loops::gelu_tanh}, nullptr);
  return bad_input("approximation {} is not supported", form);
}

/// The bound in input `i`, or `fallback` when it is absent.
template <class T>
Result<T> clip_bound(Inputs inputs, std::size_t i, T fallback) {
  if (i >= inputs.size() || inputs[i] == nullptr) return fallback;
  const Tensor& bound = inputs[i]->tensor;
  const DType dtype = inputs[0]->tensor.dtype();
  if (bound.dtype() != dtype || bound.size() != 1) {
    return bad_input("bound {} is {}{}, expected one {}", i == 1 ? "min" : "max",
                     name(bound.dtype()), to_string(bound.shape()), name(dtype));
  }
  return bound.data<T>()[0];
}

/// Bounds are the inputs 1 and 2; before opset 11 they were the attributes min and max.
MadeOp make_clip(const OpSource& source) {
  using Limits = std::numeric_limits<float>;
  const float min = source.node.float_attribute("min", Limits::lowest());
  const float max = source.node.float_attribute("max", Limits::max());
  return make_function(source, InputOrder::any, [min, max](Inputs inputs) -> Outputs {
    const Activation& x = *inputs[0];
    if (x.tensor.dtype() == DType::f32) {
      OCTET_ASSIGN(const float low, clip_bound(inputs, 1, min));
      OCTET_ASSIGN(const float high, clip_bound(inputs, 2, max));
      return run_f32(x, {loops::clip, low, high});
    }
    return with_number(x.tensor.dtype(), [&]<class T>(T) -> Outputs {
      OCTET_ASSIGN(const T low, clip_bound(inputs, 1, std::numeric_limits<T>::lowest()));
      OCTET_ASSIGN(const T high, clip_bound(inputs, 2, std::numeric_limits<T>::max()));
      return map_elements<T>(x.tensor, [low, high](T v) {
        const T raised = v < low ? low : v;
        return raised > high ? high : raised;
      });
    });
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Abs", 1, 1, make_absolute},
    {"Ceil", 1, 1, make_simple<loops::ceiling, std::ceil>},
    {"Celu", 1, 1, make_celu},
    {"Clip", 1, 1, make_clip},
    {"Cos", 1, 1, make_simple<map<cosine>, std::cos>},
    {"Elu", 1, 1, make_elu},
    {"Erf", 1, 1, make_simple<loops::error_function, std::erf>},
    {"Exp", 1, 1, make_simple<loops::exponential, std::exp>},
    {"Floor", 1, 1, make_simple<loops::floor, std::floor>},
    {"Gelu", 1, 1, make_gelu},
    {"HardSigmoid", 1, 1, make_hard_sigmoid},
    {"HardSwish", 1, 1, make_simple<loops::hard_swish>},
    {"LeakyRelu", 1, 1, make_leaky_relu},
    {"Log", 1, 1, make_simple<loops::logarithm, std::log>},
    {"Mish", 1, 1, make_simple<loops::mish>},
    {"Neg", 1, 1, make_negate},
    {"Reciprocal", 1, 1, make_simple<loops::reciprocal, reciprocal_of>},
    {"Relu", 1, 1, make_relu},
    {"Round", 1, 1, make_simple<loops::nearest, round_half_even>},
    {"Selu", 1, 1, make_selu},
    {"Sigmoid", 1, 1, make_simple<loops::sigmoid, sigmoid_of>},
    {"Sign", 1, 1, make_sign},
    {"Sin", 1, 1, make_simple<map<sine>, std::sin>},
    {"Softplus", 1, 1, make_simple<loops::softplus>},
    {"Softsign", 1, 1, make_simple<loops::softsign>},
    {"Sqrt", 1, 1, make_simple<loops::square_root, std::sqrt>},
    {"Swish", 1, 1, make_swish},
    {"Tanh", 1, 1, make_simple<loops::hyperbolic_tangent, std::tanh>},
    {"ThresholdedRelu", 1, 1, make_thresholded_relu},
});

}  // namespace

std::span<const OpEntry> unary_entries() { return entries; }

}  // namespace octet::float_engine
