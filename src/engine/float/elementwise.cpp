// Operators that compute each element on its own: one input, or two with numpy broadcasting.

#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "engine/float/broadcast.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

enum class Binary { add, subtract, multiply, divide, maximum, minimum };

loops::BinaryF32 f32_loop(Binary op) {
  switch (op) {
    case Binary::add: return loops::add;
    case Binary::subtract: return loops::subtract;
    case Binary::multiply: return loops::multiply;
    case Binary::divide: return loops::divide;
    case Binary::maximum: return loops::maximum;
    case Binary::minimum: return loops::minimum;
  }
  return nullptr;
}

/// Integers wrap, as two's complement; division truncates.
template <class T>
T apply(Binary op, T a, T b) {
  using Wrapping = typename std::conditional_t<std::is_integral_v<T>, std::make_unsigned<T>,
                                               std::type_identity<T>>::type;
  // At least int-sized, so that small types do not promote to a signed int that could overflow.
  using Wide =
      std::conditional_t<(std::is_integral_v<T> && sizeof(T) < 4), std::uint32_t, Wrapping>;
  const auto x = static_cast<Wide>(a);
  const auto y = static_cast<Wide>(b);
  switch (op) {
    case Binary::add: return static_cast<T>(x + y);
    case Binary::subtract: return static_cast<T>(x - y);
    case Binary::multiply: return static_cast<T>(x * y);
    case Binary::divide:
      if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
        if (b == T{-1}) return static_cast<T>(Wide{0} - x);
      }
      return static_cast<T>(a / b);
    case Binary::maximum: return a > b ? a : b;
    case Binary::minimum: return a < b ? a : b;
  }
  return a;
}

template <class T>
Status binary_loop(Binary op, const BroadcastPlan& plan, const Tensor& a, const Tensor& b,
                   Tensor& out) {
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  T* po = out.mutable_data<T>();
  if constexpr (std::is_same_v<T, float>) {
    const auto loop = f32_loop(op);
    plan.for_each_run([&](std::int64_t ia, int a_step, std::int64_t ib, int b_step, std::int64_t io,
                          std::int64_t n) { loop(pa + ia, a_step, pb + ib, b_step, po + io, n); });
  } else {
    if (std::is_integral_v<T> && op == Binary::divide) {
      for (std::int64_t i = 0; i < b.size(); ++i) {
        if (pb[i] == T{0}) return bad_input("integer division by zero");
      }
    }
    plan.for_each_run([&](std::int64_t ia, int a_step, std::int64_t ib, int b_step, std::int64_t io,
                          std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        po[io + i] = apply<T>(op, pa[ia + i * a_step], pb[ib + i * b_step]);
      }
    });
  }
  return {};
}

/// Brings an operand of a channels-last result of rank 4 into that order; its shape is then
/// [N,H,W,C].
Tensor channels_last_operand(const Activation& operand) {
  Shape shape = operand.tensor.shape();
  shape.insert(shape.begin(), 4 - shape.size(), 1);
  const Activation padded{operand.tensor.reshaped(shape), operand.channels_last};
  const Activation ordered = to_channels_last(padded);
  return ordered.tensor.reshaped(memory_shape(ordered));
}

Outputs run_binary(Binary op, const Activation& first, const Activation& second) {
  const DType dtype = first.tensor.dtype();
  if (dtype != second.tensor.dtype()) {
    return bad_input("inputs have types {} and {}, which must be equal", name(dtype),
                     name(second.tensor.dtype()));
  }
  // Channels-last survives when the result has its rank.
  const bool channels_last = (first.channels_last || second.channels_last) &&
                             first.tensor.rank() <= 4 && second.tensor.rank() <= 4;
  const Tensor a = channels_last ? channels_last_operand(first) : to_plain(first).tensor;
  const Tensor b = channels_last ? channels_last_operand(second) : to_plain(second).tensor;
  OCTET_ASSIGN(const auto plan, BroadcastPlan::make(a.shape(), b.shape()));
  OCTET_ASSIGN(Tensor out, new_tensor(dtype, plan.shape()));
  switch (dtype) {
    case DType::f32: OCTET_TRY(binary_loop<float>(op, plan, a, b, out)); break;
    case DType::f64: OCTET_TRY(binary_loop<double>(op, plan, a, b, out)); break;
    case DType::i8: OCTET_TRY(binary_loop<std::int8_t>(op, plan, a, b, out)); break;
    case DType::u8: OCTET_TRY(binary_loop<std::uint8_t>(op, plan, a, b, out)); break;
    case DType::i32: OCTET_TRY(binary_loop<std::int32_t>(op, plan, a, b, out)); break;
    case DType::i64: OCTET_TRY(binary_loop<std::int64_t>(op, plan, a, b, out)); break;
    default: return bad_input("elements of type {} are not supported", name(dtype));
  }
  if (!channels_last) return one_output(std::move(out));
  const Shape& s = out.shape();
  const Shape logical{s[0], s[3], s[1], s[2]};
  return one_output(out.reshaped(logical), true);
}

template <Binary op>
MadeOp make_binary(const OpSource& source) {
  return make_function(source, InputOrder::any,
                       [](Inputs inputs) { return run_binary(op, *inputs[0], *inputs[1]); });
}

/// Max and Min take any number of inputs.
template <Binary op>
MadeOp make_variadic(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    Activation result = *inputs[0];
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) return bad_input("input {} is missing", i);
      OCTET_ASSIGN(auto next, run_binary(op, result, *inputs[i]));
      result = std::move(next.front());
    }
    return one_output(std::move(result.tensor), result.channels_last);
  });
}

/// An f32 operator of one input as a loop with two parameters.
MadeOp make_unary(const OpSource& source, loops::UnaryF32 loop, float p = 0, float q = 0) {
  return make_function(source, InputOrder::any, [loop, p, q](Inputs inputs) -> Outputs {
    const auto& x = *inputs[0];
    OCTET_TRY(require_f32(x.tensor, "its input"));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.tensor.shape()));
    loop(x.tensor.data<float>(), out.mutable_data<float>(), x.tensor.size(), p, q);
    return one_output(std::move(out), x.channels_last);
  });
}

template <float (*function)(float)>
void map(const float* x, float* out, std::int64_t n, float, float) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = function(x[i]);
}

float sigmoid(float x) {
  // exp of a negative number only: no overflow at either end.
  const float e = std::exp(-std::fabs(x));
  return x >= 0 ? 1.0F / (1.0F + e) : e / (1.0F + e);
}
float exponential(float x) { return std::exp(x); }
float hyperbolic_tangent(float x) { return std::tanh(x); }

template <loops::UnaryF32 loop>
MadeOp make_simple(const OpSource& source) {
  return make_unary(source, loop);
}

MadeOp make_leaky_relu(const OpSource& source) {
  return make_unary(source, loops::leaky_relu, source.node.float_attribute("alpha", 0.01F));
}

MadeOp make_hard_sigmoid(const OpSource& source) {
  return make_unary(source, loops::hard_sigmoid, source.node.float_attribute("alpha", 0.2F),
                    source.node.float_attribute("beta", 0.5F));
}

Result<float> clip_bound(Inputs inputs, std::size_t i, float fallback) {
  if (i >= inputs.size() || inputs[i] == nullptr) return fallback;
  const Tensor& bound = inputs[i]->tensor;
  if (bound.dtype() != DType::f32 || bound.size() != 1) {
    return bad_input("bound {} is {}{}, expected one f32", i == 1 ? "min" : "max",
                     name(bound.dtype()), to_string(bound.shape()));
  }
  return bound.data<float>()[0];
}

MadeOp make_clip(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    const auto& x = *inputs[0];
    OCTET_TRY(require_f32(x.tensor, "its input"));
    OCTET_ASSIGN(const float low, clip_bound(inputs, 1, std::numeric_limits<float>::lowest()));
    OCTET_ASSIGN(const float high, clip_bound(inputs, 2, std::numeric_limits<float>::max()));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.tensor.shape()));
    loops::clip(x.tensor.data<float>(), out.mutable_data<float>(), x.tensor.size(), low, high);
    return one_output(std::move(out), x.channels_last);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Add", 2, 1, make_binary<Binary::add>},
    {"Sub", 2, 1, make_binary<Binary::subtract>},
    {"Mul", 2, 1, make_binary<Binary::multiply>},
    {"Div", 2, 1, make_binary<Binary::divide>},
    {"Max", 1, 1, make_variadic<Binary::maximum>},
    {"Min", 1, 1, make_variadic<Binary::minimum>},
    {"Relu", 1, 1, make_simple<loops::relu>},
    {"LeakyRelu", 1, 1, make_leaky_relu},
    {"Clip", 1, 1, make_clip},
    {"Sigmoid", 1, 1, make_simple<map<sigmoid>>},
    {"HardSigmoid", 1, 1, make_hard_sigmoid},
    {"HardSwish", 1, 1, make_simple<loops::hard_swish>},
    {"Tanh", 1, 1, make_simple<map<hyperbolic_tangent>>},
    {"Exp", 1, 1, make_simple<map<exponential>>},
    {"Neg", 1, 1, make_simple<loops::negate>},
    {"Sqrt", 1, 1, make_simple<loops::square_root>},
});

}  // namespace

std::span<const OpEntry> elementwise_entries() { return entries; }

}  // namespace octet::float_engine
