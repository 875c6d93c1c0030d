// Comparisons, logic and Where: operators with booleans.

#include <array>

#include "engine/float/element_types.h"
#include "engine/float/operands.h"
#include "engine/float/ops.h"

namespace octet::float_engine {
namespace {

enum class Comparison { equal, greater, greater_or_equal, less, less_or_equal };

template <Comparison op, class T>
std::uint8_t compare(T a, T b) {
  switch (op) {
    case Comparison::equal: return a == b;
    case Comparison::greater: return a > b;
    case Comparison::greater_or_equal: return a >= b;
    case Comparison::less: return a < b;
    case Comparison::less_or_equal: return a <= b;
  }
  return 0;
}

enum class Logic { both, either, one };

template <Logic op>
std::uint8_t combine(std::uint8_t a, std::uint8_t b) {
  const bool x = a != 0;
  const bool y = b != 0;
  switch (op) {
    case Logic::both: return x && y;
    case Logic::either: return x || y;
    case Logic::one: return x != y;
  }
  return 0;
}

template <Comparison op>
Outputs run_comparison(const Activation& first, const Activation& second) {
  const DType dtype = first.tensor.dtype();
  OCTET_TRY(require_equal_types(first.tensor, second.tensor));
  OCTET_ASSIGN(const auto operands, broadcast_operands(first, second, false));
  OCTET_ASSIGN(Tensor out, new_tensor(DType::boolean, operands.plan.shape()));
  if (dtype == DType::boolean && op == Comparison::equal) {
    map_operands<std::uint8_t, std::uint8_t, std::uint8_t>(
        operands, out, [](std::uint8_t a, std::uint8_t b) -> std::uint8_t {
          return static_cast<std::uint8_t>((a != 0) == (b != 0));
        });
    return one_output(std::move(out));
  }
  OCTET_TRY(with_number(dtype, [&]<class T>(T) -> Status {
    map_operands<T, T, std::uint8_t>(operands, out, [](T a, T b) { return compare<op>(a, b); });
    return {};
  }));
  return one_output(std::move(out));
}

template <Comparison op>
MadeOp make_comparison(const OpSource& source) {
  return make_function(source, InputOrder::any,
                       [](Inputs inputs) { return run_comparison<op>(*inputs[0], *inputs[1]); });
}

Status require_bool(const Tensor& tensor) {
  if (tensor.dtype() == DType::boolean) return {};
  return bad_input("its input is {}, only boolean is supported", name(tensor.dtype()));
}

template <Logic op>
MadeOp make_logic(const OpSource& source) {
  return make_function(source, InputOrder::plain, [](Inputs inputs) -> Outputs {
    OCTET_TRY(require_bool(inputs[0]->tensor));
    OCTET_TRY(require_bool(inputs[1]->tensor));
    OCTET_ASSIGN(const auto operands, broadcast_operands(*inputs[0], *inputs[1], false));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::boolean, operands.plan.shape()));
    map_operands<std::uint8_t, std::uint8_t, std::uint8_t>(
        operands, out, [](std::uint8_t a, std::uint8_t b) { return combine<op>(a, b); });
    return one_output(std::move(out));
  });
}

MadeOp make_not(const OpSource& source) {
  return make_function(source, InputOrder::plain, [](Inputs inputs) -> Outputs {
    const Tensor& x = inputs[0]->tensor;
    OCTET_TRY(require_bool(x));
    OCTET_ASSIGN(Tensor out, new_tensor(DType::boolean, x.shape()));
    auto* to = out.mutable_data<std::uint8_t>();
    for (const auto value : x.values<std::uint8_t>()) *to++ = value == 0;
    return one_output(std::move(out));
  });
}

/// Writes the elements of `x`, broadcast to out's shape, where `chosen` (nullptr: everywhere).
template <class Bits>
Status write_where(const Tensor& x, const std::uint8_t* chosen, Tensor& out) {
  OCTET_ASSIGN(const auto plan, BroadcastPlan::make(x.shape(), out.shape()));
  const Bits* from = x.data<Bits>();
  Bits* to = out.mutable_data<Bits>();
  plan.for_each_run([&](std::int64_t offset, int step, std::int64_t, int, std::int64_t target,
                        std::int64_t count) {
    const Bits* x = from + offset;
    Bits* y = to + target;
    if (chosen == nullptr) {
      for (std::int64_t i = 0; i < count; ++i) y[i] = x[i * step];
      return;
    }
    const std::uint8_t* marks = chosen + target;
    if (step == 1) {
      for (std::int64_t i = 0; i < count; ++i) y[i] = marks[i] != 0 ? x[i] : y[i];
    } else {
      const Bits value = *x;
      for (std::int64_t i = 0; i < count; ++i) y[i] = marks[i] != 0 ? value : y[i];
    }
  });
  return {};
}

template <class Bits>
Outputs choose(const Tensor& condition, const Tensor& a, const Tensor& b, const Shape& shape) {
  OCTET_ASSIGN(Tensor chosen, new_tensor(DType::boolean, shape));
  OCTET_TRY(write_where<std::uint8_t>(condition, nullptr, chosen));
  OCTET_ASSIGN(Tensor out, new_tensor(a.dtype(), shape));
  OCTET_TRY(write_where<Bits>(b, nullptr, out));
  OCTET_TRY(write_where<Bits>(a, chosen.data<std::uint8_t>(), out));
  return one_output(std::move(out));
}

Outputs run_where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  OCTET_TRY(require_bool(condition));
  OCTET_TRY(require_equal_types(a, b));
  OCTET_ASSIGN(const Shape values, broadcast_shapes(a.shape(), b.shape()));
  OCTET_ASSIGN(const Shape shape, broadcast_shapes(condition.shape(), values));
  OCTET_ASSIGN(const std::size_t width, element_bytes(a.dtype()));
  switch (width) {
    case 1: return choose<std::uint8_t>(condition, a, b, shape);
    case 2: return choose<std::uint16_t>(condition, a, b, shape);
    case 4: return choose<std::uint32_t>(condition, a, b, shape);
    default: return choose<std::uint64_t>(condition, a, b, shape);
  }
}

MadeOp make_where(const OpSource& source) {
  return make_function(source, InputOrder::plain, [](Inputs inputs) {
    return run_where(inputs[0]->tensor, inputs[1]->tensor, inputs[2]->tensor);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Equal", 2, 1, make_comparison<Comparison::equal>},
    {"Greater", 2, 1, make_comparison<Comparison::greater>},
    {"GreaterOrEqual", 2, 1, make_comparison<Comparison::greater_or_equal>},
    {"Less", 2, 1, make_comparison<Comparison::less>},
    {"LessOrEqual", 2, 1, make_comparison<Comparison::less_or_equal>},
    {"Not", 1, 1, make_not},
    {"And", 2, 1, make_logic<Logic::both>},
    {"Or", 2, 1, make_logic<Logic::either>},
    {"Xor", 2, 1, make_logic<Logic::one>},
    {"Where", 3, 1, make_where},
});

}  // namespace

std::span<const OpEntry> comparison_entries() { return entries; }

}  // namespace octet::float_engine
