#include "api/taps.h"

#include "arithmetic/quantize.h"
#include "engine/integer/wide_values.h"

namespace octet {
namespace {

template <class T>
Tensor plain_tensor(std::span<const T> elements, const TapView& view) {
  if (!view.channels_last || view.shape.size() != 4) return Tensor::from<T>(elements, view.shape);
  Tensor out(DTypeOf<T>::value, view.shape);
  const auto n = view.shape[0], c = view.shape[1], hw = view.shape[2] * view.shape[3];
  T* target = out.template mutable_data<T>();
  for (std::int64_t b = 0; b < n; ++b) {
    for (std::int64_t p = 0; p < hw; ++p) {
      for (std::int64_t k = 0; k < c; ++k) {
        target[(b * c + k) * hw + p] = elements[static_cast<std::size_t>((b * hw + p) * c + k)];
      }
    }
  }
  return out;
}

}  // namespace

Tensor tap_tensor(const TapView& view) {
  return view.codes.empty() ? plain_tensor(view.values, view) : plain_tensor(view.codes, view);
}

Tensor tap_reals(const TapView& view, const QuantPlan& plan) {
  auto tensor = tap_tensor(view);
  const auto* q = plan.find(view.value);
  if (tensor.dtype() != DType::i8 || q == nullptr || q->params.scale.empty()) return tensor;
  Tensor reals(DType::f32, tensor.shape());
  float* out = reals.mutable_data<float>();
  const auto codes = tensor.values<std::int8_t>();
  for (std::size_t i = 0; i < codes.size(); ++i) {
    out[i] = dequantize_value(codes[i], q->params.scale.front(), q->params.zero_point.front());
  }
  return reals;
}

Result<Tensor> tap_codes(const TapView& view, const QuantPlan& plan) {
  if (!view.codes.empty()) return tap_tensor(view);
  const auto* q = plan.find(view.value);
  if (!is_wide(q) || view.values.empty()) return Tensor();
  return wide_codes(tap_tensor(view), *q);
}

}  // namespace octet
