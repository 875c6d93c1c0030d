// Cast, QuantizeLinear and DequantizeLinear.

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "arithmetic/quantize.h"
#include "engine/float/ops.h"
#include "graph/onnx_dtype.h"

namespace octet::float_engine {
namespace {

/// An IEEE 754 binary16 or bfloat16 in memory.
template <int exponent_bits>
struct Small {
  std::uint16_t bits;
};
using Half = Small<5>;
using Brain = Small<8>;

/// Widens exactly.
template <int exponent_bits>
float widen(Small<exponent_bits> value) {
  constexpr int mantissa_bits = 15 - exponent_bits;
  constexpr int largest = (1 << exponent_bits) - 1;
  constexpr int bias = largest / 2;
  const int exponent = (value.bits >> mantissa_bits) & largest;
  const int mantissa = value.bits & ((1 << mantissa_bits) - 1);
  float magnitude = 0;
  if (exponent == largest) {
    magnitude = mantissa != 0 ? std::numeric_limits<float>::quiet_NaN()
                              : std::numeric_limits<float>::infinity();
  } else {
    const int significand = exponent == 0 ? mantissa : mantissa + (1 << mantissa_bits);
    magnitude =
        std::ldexp(static_cast<float>(significand), std::max(exponent, 1) - bias - mantissa_bits);
  }
  return (value.bits & 0x8000) != 0 ? -magnitude : magnitude;
}

/// Nearest representable, ties to even; too large becomes infinity.
template <int exponent_bits>
Small<exponent_bits> narrow(double x) {
  constexpr int mantissa_bits = 15 - exponent_bits;
  constexpr int largest = (1 << exponent_bits) - 1;
  constexpr int bias = largest / 2;
  const auto sign = static_cast<std::uint16_t>(std::signbit(x) ? 0x8000 : 0);
  constexpr auto infinity = static_cast<std::uint16_t>(largest << mantissa_bits);
  const auto result = [sign](int code) {
    return Small<exponent_bits>{static_cast<std::uint16_t>(sign | code)};
  };
  if (std::isnan(x)) return result(infinity | (1 << (mantissa_bits - 1)));
  const double magnitude = std::fabs(x);
  if (std::isinf(magnitude)) return result(infinity);
  int exponent = 0;
  (void)std::frexp(magnitude, &exponent);
  // In units of the last place of its binade, the subnormal one at least.
  const int place = std::max(exponent - 1, 1 - bias) - mantissa_bits;
  const auto units = static_cast<int>(round_half_even(std::ldexp(magnitude, -place)));
  const int binade = place + mantissa_bits + bias;  // >= 1
  // A carry out of the mantissa raises the exponent by itself.
  const int code = (binade - 1) * (1 << mantissa_bits) + units;
  return result(std::min(code, static_cast<int>(infinity)));
}

/// Value of type To nearest to `x` towards zero; out of range saturates, NaN becomes 0.
template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, Brain>) {
    return convert<To>(widen(x));
  } else if constexpr (std::is_same_v<To, Half>) {
    return narrow<5>(static_cast<double>(x));
  } else if constexpr (std::is_same_v<To, Brain>) {
    return narrow<8>(static_cast<double>(x));
  } else if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // Both bounds are powers of two (or 0), exact in any float type.
    const auto low = static_cast<From>(std::numeric_limits<To>::min());
    const From high = static_cast<From>(std::numeric_limits<To>::max() / 2 + 1) * 2;
    if (!(x == x)) return To{0};
    if (x <= low) return std::numeric_limits<To>::min();
    if (x >= high) return std::numeric_limits<To>::max();
    return static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

/// Calls fn with a null pointer of the element type; false for types without numbers.
template <class Fn>
bool with_type(DType dtype, Fn fn) {
  switch (dtype) {
    case DType::f32: fn(static_cast<float*>(nullptr)); return true;
    case DType::f64: fn(static_cast<double*>(nullptr)); return true;
    case DType::f16: fn(static_cast<Half*>(nullptr)); return true;
    case DType::bf16: fn(static_cast<Brain*>(nullptr)); return true;
    case DType::i8: fn(static_cast<std::int8_t*>(nullptr)); return true;
    case DType::u8: fn(static_cast<std::uint8_t*>(nullptr)); return true;
    case DType::i16: fn(static_cast<std::int16_t*>(nullptr)); return true;
    case DType::u16: fn(static_cast<std::uint16_t*>(nullptr)); return true;
    case DType::i32: fn(static_cast<std::int32_t*>(nullptr)); return true;
    case DType::u32: fn(static_cast<std::uint32_t*>(nullptr)); return true;
    case DType::i64: fn(static_cast<std::int64_t*>(nullptr)); return true;
    case DType::u64: fn(static_cast<std::uint64_t*>(nullptr)); return true;
    case DType::boolean: fn(static_cast<bool*>(nullptr)); return true;
    default: return false;
  }
}

Outputs run_cast(const Activation& input, DType to) {
  if (input.tensor.dtype() == to) return one_output(input.tensor, input.channels_last);
  const Tensor x = to_plain(input).tensor;
  OCTET_ASSIGN(Tensor out, new_tensor(to, x.shape()));
  const bool known = with_type(x.dtype(), [&]<class From>(From*) {
    with_type(to, [&]<class To>(To*) {
      const From* from = x.data<From>();
      To* result = out.mutable_data<To>();
      for (std::int64_t i = 0; i < x.size(); ++i) result[i] = convert<To>(from[i]);
    });
  });
  if (!known) return bad_input("elements of type {} are not supported", name(x.dtype()));
  return one_output(std::move(out));
}

MadeOp make_cast(const OpSource& source) {
  const DType to = dtype_from_onnx(source.node.int_attribute("to", 0));
  if (!with_type(to, [](auto*) {})) {
    return bad_input("type number {} is not supported", source.node.int_attribute("to", 0));
  }
  return make_function(source, InputOrder::any,
                       [to](Inputs inputs) { return run_cast(*inputs[0], to); });
}

/// Signed code = stored code - offset: 2^(n-1) for unsigned types.
template <class Code>
constexpr std::int32_t code_offset =
    std::is_unsigned_v<Code> ? std::int32_t{1} << (sizeof(Code) * 8 - 1) : 0;

/// How a dense tensor splits around the axis of the scales.
struct ScaleView {
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
};

Result<ScaleView> scale_view(const Tensor& x, const Tensor& scale, std::int64_t axis_attribute) {
  OCTET_TRY(require_f32(scale, "the scale"));
  ScaleView view;
  if (scale.rank() == 0 || (scale.rank() == 1 && scale.size() == 1 && x.rank() == 0)) {
    view.inner = x.size();
    return view;
  }
  if (scale.rank() != 1) {
    return bad_input("scales of shape {} are not supported, one dimension is",
                     to_string(scale.shape()));
  }
  // One scale is per-tensor even when it comes as a vector.
  if (scale.size() == 1) {
    view.inner = x.size();
    return view;
  }
  OCTET_ASSIGN(const int axis, normalize_axis(axis_attribute, x.shape().size()));
  if (x.dim(axis) != scale.size()) {
    return bad_input("{} scales along axis {} do not fit shape {}", scale.size(), axis,
                     to_string(x.shape()));
  }
  view.channels = x.dim(axis);
  for (int i = 0; i < axis; ++i) view.outer *= x.dim(i);
  for (int i = axis + 1; i < x.rank(); ++i) view.inner *= x.dim(i);
  return view;
}

/// Calls fn(begin, end, channel) for each run of elements that share a scale.
template <class Fn>
void for_each_run(const ScaleView& view, Fn fn) {
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t c = 0; c < view.channels; ++c) {
      const std::int64_t begin = (o * view.channels + c) * view.inner;
      fn(begin, begin + view.inner, c);
    }
  }
}

template <class Code>
void quantize_codes(const Tensor& x, const ScaleView& view, const float* scale,
                    const Code* zero_point, Tensor& out) {
  constexpr std::int32_t offset = code_offset<Code>;
  constexpr auto qmin = static_cast<std::int32_t>(std::numeric_limits<Code>::min()) - offset;
  constexpr auto qmax = static_cast<std::int32_t>(std::numeric_limits<Code>::max()) - offset;
  const float* from = x.data<float>();
  Code* to = out.mutable_data<Code>();
  for_each_run(view, [&](std::int64_t begin, std::int64_t end, std::int64_t c) {
    const std::int32_t zero = zero_point != nullptr ? zero_point[c] - offset : -offset;
    for (std::int64_t i = begin; i < end; ++i) {
      to[i] = static_cast<Code>(quantize_value(from[i], scale[c], zero, qmin, qmax) + offset);
    }
  });
}

template <class Code>
void dequantize_codes(const Tensor& x, const ScaleView& view, const float* scale,
                      const Code* zero_point, Tensor& out) {
  constexpr std::int32_t offset = code_offset<Code>;
  const Code* from = x.data<Code>();
  float* to = out.mutable_data<float>();
  for_each_run(view, [&](std::int64_t begin, std::int64_t end, std::int64_t c) {
    const std::int32_t zero = zero_point != nullptr ? zero_point[c] - offset : -offset;
    for (std::int64_t i = begin; i < end; ++i) {
      to[i] = dequantize_value(from[i] - offset, scale[c], zero);
    }
  });
}

/// The optional zero point: its type and count must fit, nullptr when absent.
Result<const Tensor*> zero_point_input(Inputs inputs, const Tensor& scale) {
  if (inputs.size() < 3 || inputs[2] == nullptr) return nullptr;
  const Tensor& zero_point = inputs[2]->tensor;
  if (zero_point.size() != scale.size()) {
    return bad_input("{} zero points for {} scales", zero_point.size(), scale.size());
  }
  return &zero_point;
}

Status check_scales(const Tensor& scale) {
  for (const float s : scale.values<float>()) {
    if (!(s > 0) || !std::isfinite(s)) return bad_input("scale {} is not finite and positive", s);
  }
  return {};
}

Outputs run_quantize(Inputs inputs, std::int64_t axis, DType output) {
  const Tensor& x = inputs[0]->tensor;
  const Tensor& scale = inputs[1]->tensor;
  OCTET_TRY(require_f32(x, "its input"));
  OCTET_ASSIGN(const auto view, scale_view(x, scale, axis));
  OCTET_TRY(check_scales(scale));
  OCTET_ASSIGN(const Tensor* zero_point, zero_point_input(inputs, scale));
  if (zero_point != nullptr) output = zero_point->dtype();
  OCTET_ASSIGN(Tensor out, new_tensor(output, x.shape()));
  const auto quantize_as = [&]<class Code>(Code*) -> Outputs {
    quantize_codes<Code>(x, view, scale.data<float>(),
                         zero_point != nullptr ? zero_point->data<Code>() : nullptr, out);
    return one_output(std::move(out));
  };
  switch (output) {
    case DType::u8: return quantize_as(static_cast<std::uint8_t*>(nullptr));
    case DType::i8: return quantize_as(static_cast<std::int8_t*>(nullptr));
    case DType::u16: return quantize_as(static_cast<std::uint16_t*>(nullptr));
    case DType::i16: return quantize_as(static_cast<std::int16_t*>(nullptr));
    default: return bad_input("codes of type {} are not supported", name(output));
  }
}

Outputs run_dequantize(Inputs inputs, std::int64_t axis) {
  const Tensor& x = inputs[0]->tensor;
  const Tensor& scale = inputs[1]->tensor;
  OCTET_ASSIGN(const auto view, scale_view(x, scale, axis));
  OCTET_ASSIGN(const Tensor* zero_point, zero_point_input(inputs, scale));
  if (zero_point != nullptr && zero_point->dtype() != x.dtype()) {
    return bad_input("codes are {} but zero points {}", name(x.dtype()), name(zero_point->dtype()));
  }
  OCTET_ASSIGN(Tensor out, new_tensor(DType::f32, x.shape()));
  const auto dequantize_as = [&]<class Code>(Code*) -> Outputs {
    dequantize_codes<Code>(x, view, scale.data<float>(),
                           zero_point != nullptr ? zero_point->data<Code>() : nullptr, out);
    return one_output(std::move(out));
  };
  switch (x.dtype()) {
    case DType::u8: return dequantize_as(static_cast<std::uint8_t*>(nullptr));
    case DType::i8: return dequantize_as(static_cast<std::int8_t*>(nullptr));
    case DType::u16: return dequantize_as(static_cast<std::uint16_t*>(nullptr));
    case DType::i16: return dequantize_as(static_cast<std::int16_t*>(nullptr));
    case DType::i32:
      // Other zero points could overflow the difference; ONNX does not allow them either.
      for (std::int64_t i = 0; zero_point != nullptr && i < zero_point->size(); ++i) {
        if (zero_point->data<std::int32_t>()[i] != 0) {
          return bad_input("the zero point of i32 codes must be 0");
        }
      }
      return dequantize_as(static_cast<std::int32_t*>(nullptr));
    default: return bad_input("codes of type {} are not supported", name(x.dtype()));
  }
}

Status refuse_blocks(const Node& node) {
  if (node.int_attribute("block_size", 0) == 0) return {};
  return bad_input("blocked quantization (block_size) is not supported");
}

MadeOp make_quantize(const OpSource& source) {
  OCTET_TRY(refuse_blocks(source.node));
  const std::int64_t code = source.node.int_attribute("output_dtype", 0);
  const DType output = code == 0 ? DType::u8 : dtype_from_onnx(code);
  return make_function(source, InputOrder::plain,
                       [axis = source.node.int_attribute("axis", 1), output](Inputs inputs) {
                         return run_quantize(inputs, axis, output);
                       });
}

MadeOp make_dequantize(const OpSource& source) {
  OCTET_TRY(refuse_blocks(source.node));
  return make_function(source, InputOrder::plain,
                       [axis = source.node.int_attribute("axis", 1)](Inputs inputs) {
                         return run_dequantize(inputs, axis);
                       });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"Cast", 1, 1, make_cast},
    {"QuantizeLinear", 2, 1, make_quantize},
    {"DequantizeLinear", 2, 1, make_dequantize},
});

}  // namespace

std::span<const OpEntry> quantize_entries() { return entries; }

}  // namespace octet::float_engine
