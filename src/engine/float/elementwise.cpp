// Arithmetic of two operands with numpy broadcasting.

#include <array>
#include <cmath>
#include <limits>

#include "engine/float/convert.h"
#include "engine/float/element_types.h"
#include "engine/float/operands.h"
#include "engine/float/ops.h"
#include "engine/float/vector_loops.h"

namespace octet::float_engine {
namespace {

enum class Binary { add, subtract, multiply, divide, maximum, minimum, parametric_relu };

loops::BinaryF32 f32_loop(Binary op) {
  switch (op) {
    case Binary::add: return loops::add;
    case Binary::subtract: return loops::subtract;
    case Binary::multiply: return loops::multiply;
    case Binary::divide: return loops::divide;
    case Binary::maximum: return loops::maximum;
    case Binary::minimum: return loops::minimum;
    case Binary::parametric_relu: return loops::parametric_relu;
  }
  return nullptr;
}

/// Integers wrap, as two's complement; division truncates, by other than 0. Max and Min of NaN are
/// NaN.
template <Binary op, class T>
T apply(T a, T b) {
  if constexpr (op == Binary::add) return wrapping_add(a, b);
  if constexpr (op == Binary::subtract) return wrapping_subtract(a, b);
  if constexpr (op == Binary::multiply) return wrapping_multiply(a, b);
  if constexpr (op == Binary::divide) {
    if constexpr (std::is_signed_v<T> && std::is_integral_v<T>) {
      if (b == T{-1}) return wrapping_subtract(T{0}, a);
    }
    return static_cast<T>(a / b);
  }
  if constexpr (op == Binary::maximum) return a > b || a != a ? a : b;
  if constexpr (op == Binary::minimum) return a < b || a != a ? a : b;
  if constexpr (op == Binary::parametric_relu) return a < T{0} ? wrapping_multiply(a, b) : a;
}

template <class T>
Status refuse_zeros(const Tensor& divisors) {
  if constexpr (std::is_integral_v<T>) {
    for (const T value : divisors.values<T>()) {
      if (value == T{0}) return bad_input("integer division by zero");
    }
  }
  return {};
}

void run_f32_loop(loops::BinaryF32 loop, const Operands& operands, Tensor& out) {
  const auto* a = operands.a.data<float>();
  const auto* b = operands.b.data<float>();
  auto* to = out.mutable_data<float>();
  operands.plan.for_each_run(
      [&](std::int64_t ia, int a_step, std::int64_t ib, int b_step, std::int64_t io,
          std::int64_t n) { loop(a + ia, a_step, b + ib, b_step, to + io, n); });
}

template <Binary op>
Outputs run_binary(const Activation& first, const Activation& second) {
  OCTET_TRY(require_equal_types(first.tensor, second.tensor));
  OCTET_ASSIGN(const auto operands, broadcast_operands(first, second, true));
  const DType dtype = first.tensor.dtype();
  OCTET_ASSIGN(Tensor out, new_tensor(dtype, operands.plan.shape()));
  if (dtype == DType::f32) {
    run_f32_loop(f32_loop(op), operands, out);
    return operands.finish(std::move(out));
  }
  OCTET_TRY(with_number(dtype, [&]<class T>(T) -> Status {
    if constexpr (op == Binary::divide) OCTET_TRY(refuse_zeros<T>(operands.b));
    map_operands<T, T, T>(operands, out, [](T a, T b) { return apply<op>(a, b); });
    return {};
  }));
  return operands.finish(std::move(out));
}

template <Binary op>
MadeOp make_binary(const OpSource& source) {
  return make_function(source, InputOrder::any,
                       [](Inputs inputs) { return run_binary<op>(*inputs[0], *inputs[1]); });
}

/// The slope broadcasts to x, never the other way.
MadeOp make_prelu(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    OCTET_ASSIGN(auto outputs, run_binary<Binary::parametric_relu>(*inputs[0], *inputs[1]));
    if (outputs.front().tensor.shape() != inputs[0]->tensor.shape()) {
      return bad_input("slope {} does not broadcast to {}", to_string(inputs[1]->tensor.shape()),
                       to_string(inputs[0]->tensor.shape()));
    }
    return outputs;
  });
}

/// Max, Min and Sum take any number of inputs.
template <Binary op>
MadeOp make_variadic(const OpSource& source) {
  return make_function(source, InputOrder::any, [](Inputs inputs) -> Outputs {
    Activation result = *inputs[0];
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      if (inputs[i] == nullptr) return bad_input("input {} is missing", i);
      OCTET_ASSIGN(auto next, run_binary<op>(result, *inputs[i]));
      result = std::move(next.front());
    }
    return one_output(std::move(result.tensor), result.channels_last);
  });
}

/// The remainder with the sign of the dividend (`truncating`, as in C) or of the divisor.
template <class T>
T remainder(T a, T b, bool truncating) {
  T rest{};
  if constexpr (std::is_floating_point_v<T>) {
    rest = std::fmod(a, b);
  } else if constexpr (std::is_signed_v<T>) {
    rest = b == T{-1} ? T{0} : static_cast<T>(a % b);
  } else {
    return static_cast<T>(a % b);
  }
  const bool wrong_sign = rest != T{0} && (rest < T{0}) != (b < T{0});
  return wrong_sign && !truncating ? static_cast<T>(rest + b) : rest;
}

Outputs run_mod(const Activation& first, const Activation& second, bool truncating) {
  const DType dtype = first.tensor.dtype();
  OCTET_TRY(require_equal_types(first.tensor, second.tensor));
  OCTET_ASSIGN(const auto operands, broadcast_operands(first, second, true));
  OCTET_ASSIGN(Tensor out, new_tensor(dtype, operands.plan.shape()));
  OCTET_TRY(with_number(dtype, [&]<class T>(T) -> Status {
    OCTET_TRY(refuse_zeros<T>(operands.b));
    map_operands<T, T, T>(operands, out,
                          [truncating](T a, T b) { return remainder(a, b, truncating); });
    return {};
  }));
  return operands.finish(std::move(out));
}

MadeOp make_mod(const OpSource& source) {
  const bool truncating = source.node.int_attribute("fmod", 0) != 0;
  return make_function(source, InputOrder::any, [truncating](Inputs inputs) {
    return run_mod(*inputs[0], *inputs[1], truncating);
  });
}

/// base^exponent in the base's type. Of two integers exactly, modulo 2^n; a negative exponent
/// gives the reciprocal truncated to an integer. Else in floating point, saturating.
template <class Base, class Exponent>
Base power(Base base, Exponent exponent) {
  if constexpr (std::is_same_v<Base, float> && std::is_same_v<Exponent, float>) {
    return std::pow(base, exponent);
  } else if constexpr (std::is_integral_v<Base> && std::is_integral_v<Exponent>) {
    if (exponent < Exponent{0}) {
      return convert<Base>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
    }
    Base result{1};
    for (auto rest = static_cast<std::uint64_t>(exponent); rest != 0; rest >>= 1) {
      if ((rest & 1) != 0) result = wrapping_multiply(result, base);
      base = wrapping_multiply(base, base);
    }
    return result;
  } else {
    return convert<Base>(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
}

/// Whether every exponent is 2: the commonest use, in decomposed normalizations.
bool is_square(const Tensor& exponent) {
  if (exponent.size() != 1) return false;
  if (exponent.dtype() == DType::f32) return exponent.data<float>()[0] == 2.0F;
  return exponent.dtype() == DType::i64 && exponent.data<std::int64_t>()[0] == 2;
}

Outputs run_pow(const Activation& first, const Activation& second) {
  const DType dtype = first.tensor.dtype();
  const Tensor& exponent = second.tensor;
  if (dtype == DType::f32 && is_square(exponent) && exponent.rank() <= first.tensor.rank()) {
    OCTET_ASSIGN(Tensor out, new_tensor(dtype, first.tensor.shape()));
    loops::square(first.tensor.data<float>(), out.mutable_data<float>(), out.size(), 0, 0);
    return one_output(std::move(out), first.channels_last);
  }
  OCTET_ASSIGN(const auto operands, broadcast_operands(first, second, true));
  OCTET_ASSIGN(Tensor out, new_tensor(dtype, operands.plan.shape()));
  OCTET_TRY(with_number(dtype, [&]<class Base>(Base) {
    return with_number(exponent.dtype(), [&]<class Exponent>(Exponent) -> Status {
      map_operands<Base, Exponent, Base>(operands, out, power<Base, Exponent>);
      return {};
    });
  }));
  return operands.finish(std::move(out));
}

MadeOp make_pow(const OpSource& source) {
  return make_function(source, InputOrder::any,
                       [](Inputs inputs) { return run_pow(*inputs[0], *inputs[1]); });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Add", 2, 1, make_binary<Binary::add>},
    {"Sub", 2, 1, make_binary<Binary::subtract>},
    {"Mul", 2, 1, make_binary<Binary::multiply>},
    {"Div", 2, 1, make_binary<Binary::divide>},
    {"Max", 1, 1, make_variadic<Binary::maximum>},
    {"Min", 1, 1, make_variadic<Binary::minimum>},
    {"Sum", 1, 1, make_variadic<Binary::add>},
    {"Mod", 2, 1, make_mod},
    {"Pow", 2, 1, make_pow},
    {"PRelu", 2, 1, make_prelu},
});

}  // namespace

std::span<const OpEntry> elementwise_entries() { return entries; }

}  // namespace octet::float_engine
