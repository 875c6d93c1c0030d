// QuantizeLinear and DequantizeLinear.

#include <array>
#include <cmath>
#include <limits>

#include "arithmetic/quantize.h"
#include "engine/float/ops.h"
#include "graph/onnx_dtype.h"

namespace octet::float_engine {
namespace {

/// Signed code = stored code - offset: 2^(n-1) for unsigned types.
template <class Code>
constexpr std::int32_t code_offset =
    std::is_unsigned_v<Code> ? std::int32_t{1} << (sizeof(Code) * 8 - 1) : 0;

/// Where the scales run: along an axis, or in blocks of `block` elements along it.
struct ScaleAxis {
  std::int64_t axis = 1;
  std::int64_t block = 0;  ///< 0: no blocks
};

/// How a dense tensor splits around the axis of the scales.
struct ScaleView {
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
  std::int64_t block = 0;  ///< 0: one scale for each channel
};

/// Blocked: the scales have the shape of x but for the axis, where one stands for each block.
Result<ScaleView> blocked_view(const Tensor& x, const Tensor& scale, const ScaleAxis& where) {
  OCTET_ASSIGN(const int axis, normalize_axis(where.axis, x.shape().size()));
  if (where.block < 0) return bad_input("block_size {} is out of range", where.block);
  Shape wanted = x.shape();
  auto& blocks = wanted[static_cast<std::size_t>(axis)];
  blocks = blocks / where.block + (blocks % where.block != 0 ? 1 : 0);
  if (scale.shape() != wanted) {
    return bad_input("scales {} for blocks of {} along axis {} of {}", to_string(scale.shape()),
                     where.block, axis, to_string(x.shape()));
  }
  ScaleView view;
  view.channels = x.dim(axis);
  view.block = where.block;
  for (int i = 0; i < axis; ++i) view.outer *= x.dim(i);
  for (int i = axis + 1; i < x.rank(); ++i) view.inner *= x.dim(i);
  return view;
}

Result<ScaleView> scale_view(const Tensor& x, const Tensor& scale, const ScaleAxis& where) {
  OCTET_TRY(require_f32(scale, "the scale"));
  if (where.block != 0) return blocked_view(x, scale, where);
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
  OCTET_ASSIGN(const int axis, normalize_axis(where.axis, x.shape().size()));
  if (x.dim(axis) != scale.size()) {
    return bad_input("{} scales along axis {} do not fit shape {}", scale.size(), axis,
                     to_string(x.shape()));
  }
  view.channels = x.dim(axis);
  for (int i = 0; i < axis; ++i) view.outer *= x.dim(i);
  for (int i = axis + 1; i < x.rank(); ++i) view.inner *= x.dim(i);
  return view;
}

/// Calls fn(begin, end, scale) for each run of elements that share a scale.
template <class Fn>
void for_each_run(const ScaleView& view, Fn fn) {
  if (view.block != 0) {
    const std::int64_t blocks = (view.channels - 1) / view.block + 1;
    for (std::int64_t i = 0; i < view.outer * view.channels * view.inner; ++i) {
      const std::int64_t row = i / view.inner;
      const std::int64_t block = row / view.channels * blocks + row % view.channels / view.block;
      fn(i, i + 1, block * view.inner + i % view.inner);
    }
    return;
  }
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

Outputs run_quantize(Inputs inputs, const ScaleAxis& axis, DType output) {
  Tensor x = inputs[0]->tensor;
  const Tensor& scale = inputs[1]->tensor;
  if (x.dtype() == DType::i32) {
    OCTET_ASSIGN(x, to_f32(x));
  }
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

Outputs run_dequantize(Inputs inputs, const ScaleAxis& axis) {
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

ScaleAxis scale_axis(const Node& node) {
  return {node.int_attribute("axis", 1), node.int_attribute("block_size", 0)};
}

MadeOp make_quantize(const OpSource& source) {
  const std::int64_t code = source.node.int_attribute("output_dtype", 0);
  const DType output = code == 0 ? DType::u8 : dtype_from_onnx(code);
  return make_function(source, InputOrder::plain,
                       [axis = scale_axis(source.node), output](Inputs inputs) {
                         return run_quantize(inputs, axis, output);
                       });
}

MadeOp make_dequantize(const OpSource& source) {
  return make_function(source, InputOrder::plain, [axis = scale_axis(source.node)](Inputs inputs) {
    return run_dequantize(inputs, axis);
  });
}

constexpr auto entries = std::to_array<OpEntry>({
    {"QuantizeLinear", 2, 1, make_quantize},
    {"DequantizeLinear", 2, 1, make_dequantize},
});

}  // namespace

std::span<const OpEntry> quantize_entries() { return entries; }

}  // namespace octet::float_engine
