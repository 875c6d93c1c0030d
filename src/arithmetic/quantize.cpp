#include "arithmetic/quantize.h"

namespace octet {
namespace {

/// How a dense tensor splits around the channel axis: index = (outer * channels + c) * inner + i.
struct ChannelView {
  std::int64_t outer = 1;
  std::int64_t channels = 1;
  std::int64_t inner = 1;
};

Result<ChannelView> channel_view(const Tensor& tensor, const QuantParams& params) {
  ChannelView view;
  if (!params.per_channel()) {
    view.inner = tensor.size();
    return view;
  }
  if (params.axis >= tensor.rank() ||
      tensor.dim(params.axis) != static_cast<std::int64_t>(params.count())) {
    return bad_input("{} scales along axis {} do not fit shape {}", params.count(), params.axis,
                     to_string(tensor.shape()));
  }
  view.channels = tensor.dim(params.axis);
  for (int i = 0; i < params.axis; ++i) view.outer *= tensor.dim(i);
  for (int i = params.axis + 1; i < tensor.rank(); ++i) view.inner *= tensor.dim(i);
  return view;
}

/// Calls fn(offset, count, channel) for each run of elements that share a channel.
template <class Fn>
void for_each_run(const ChannelView& view, Fn fn) {
  for (std::int64_t o = 0; o < view.outer; ++o) {
    for (std::int64_t c = 0; c < view.channels; ++c) {
      fn((o * view.channels + c) * view.inner, view.inner, static_cast<std::size_t>(c));
    }
  }
}

template <class Code>
void quantize_to(const Tensor& values, const QuantParams& params, const QuantScheme& scheme,
                 const ChannelView& view, Tensor& codes) {
  const auto qmin = static_cast<std::int32_t>(scheme.qmin());
  const auto qmax = static_cast<std::int32_t>(scheme.qmax());
  const float* x = values.data<float>();
  Code* q = codes.mutable_data<Code>();
  for_each_run(view, [&](std::int64_t offset, std::int64_t count, std::size_t c) {
    for (std::int64_t i = offset; i < offset + count; ++i) {
      q[i] = static_cast<Code>(
          quantize_value(x[i], params.scale[c], params.zero_point[c], qmin, qmax));
    }
  });
}

template <class Code>
void dequantize_from(const Tensor& codes, const QuantParams& params, const ChannelView& view,
                     Tensor& values) {
  const Code* q = codes.data<Code>();
  float* x = values.mutable_data<float>();
  for_each_run(view, [&](std::int64_t offset, std::int64_t count, std::size_t c) {
    for (std::int64_t i = offset; i < offset + count; ++i) {
      x[i] =
          dequantize_value(static_cast<std::int32_t>(q[i]), params.scale[c], params.zero_point[c]);
    }
  });
}

void dequantize_wide(const Tensor& codes, const QuantParams& params, const ChannelView& view,
                     Tensor& values) {
  const auto* q = codes.data<std::int64_t>();
  float* x = values.mutable_data<float>();
  for_each_run(view, [&](std::int64_t offset, std::int64_t count, std::size_t c) {
    for (std::int64_t i = offset; i < offset + count; ++i) {
      x[i] = params.scale[c] * static_cast<float>(q[i]);
    }
  });
}

}  // namespace

Result<Tensor> quantize(const Tensor& values, const QuantParams& params, const QuantScheme& scheme,
                        DType storage) {
  if (values.dtype() != DType::f32) return internal_error("quantize needs f32 values");
  OCTET_ASSIGN(const auto view, channel_view(values, params));
  Tensor codes(storage, values.shape());
  switch (storage) {
    case DType::i8: quantize_to<std::int8_t>(values, params, scheme, view, codes); break;
    case DType::i16: quantize_to<std::int16_t>(values, params, scheme, view, codes); break;
    case DType::i32: quantize_to<std::int32_t>(values, params, scheme, view, codes); break;
    default: return internal_error("no codes of type {}", name(storage));
  }
  return codes;
}

Result<Tensor> dequantize(const Tensor& codes, const QuantParams& params) {
  OCTET_ASSIGN(const auto view, channel_view(codes, params));
  Tensor values(DType::f32, codes.shape());
  switch (codes.dtype()) {
    case DType::i8: dequantize_from<std::int8_t>(codes, params, view, values); break;
    case DType::i16: dequantize_from<std::int16_t>(codes, params, view, values); break;
    case DType::i32: dequantize_from<std::int32_t>(codes, params, view, values); break;
    case DType::i64: dequantize_wide(codes, params, view, values); break;
    default: return internal_error("no codes of type {}", name(codes.dtype()));
  }
  return values;
}

Result<Tensor> fake_quantize(const Tensor& values, const QuantParams& params,
                             const QuantScheme& scheme) {
  const DType storage = scheme.bits <= 8 ? DType::i8 : scheme.bits <= 16 ? DType::i16 : DType::i32;
  OCTET_ASSIGN(const auto codes, quantize(values, params, scheme, storage));
  return dequantize(codes, params);
}

}  // namespace octet
