#include "engine/integer/wide_values.h"

#include "arithmetic/litert_unary.h"
#include "arithmetic/quantize.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/placement.h"

namespace octet {

bool is_wide(const Quantization* quantization) {
  return quantization != nullptr && quantization->scheme.bits > 8 &&
         quantization->scheme.bits <= 16 && quantization->params.count() == 1 &&
         !quantization->params.per_channel() && quantization->params.zero_point[0] == 0;
}

Result<Tensor> wide_codes(const Tensor& image, const Quantization& quantization) {
  if (image.dtype() != DType::f32) return bad_input("cannot quantize {}", name(image.dtype()));
  OCTET_ASSIGN(auto codes, float_engine::new_tensor(DType::i16, image.shape()));
  const float scale = quantization.params.scale[0];
  const std::int32_t zero_point = quantization.params.zero_point[0];
  const float* x = image.data<float>();
  auto* q = codes.mutable_data<std::int16_t>();
  for (std::int64_t i = 0; i < image.size(); ++i) {
    q[i] = static_cast<std::int16_t>(quantize_narrow(x[i], scale, zero_point, -32768, 32767));
  }
  return codes;
}

Result<Tensor> wide_image(const Tensor& codes, const Quantization& quantization) {
  OCTET_ASSIGN(auto image, float_engine::new_tensor(DType::f32, codes.shape()));
  const float scale = quantization.params.scale[0];
  const std::int32_t zero_point = quantization.params.zero_point[0];
  const auto* q = codes.data<std::int16_t>();
  auto* x = image.mutable_data<float>();
  for (std::int64_t i = 0; i < codes.size(); ++i) x[i] = dequantize_value(q[i], scale, zero_point);
  return image;
}

bool converts_wide(const Quantization* from, const Quantization* to) {
  const auto known = [](const Quantization* q) {
    return is_wide(q) || (is_coded(q) && q->storage != DType::u8);
  };
  return known(from) && known(to) && (is_wide(from) || is_wide(to));
}

Result<Tensor> converted_image(const Tensor& image, const Quantization& from,
                               const Quantization& to) {
  if (from.params == to.params && from.scheme.bits == to.scheme.bits) return image;
  OCTET_ASSIGN(auto codes, wide_codes(image, from));
  const litert::Affine input{from.params.scale[0], from.params.zero_point[0]};
  const litert::Affine output{to.params.scale[0], to.params.zero_point[0]};
  const auto low = static_cast<std::int32_t>(to.scheme.qmin());
  const auto high = static_cast<std::int32_t>(to.scheme.qmax());
  auto* q = codes.mutable_data<std::int16_t>();
  for (std::int64_t i = 0; i < codes.size(); ++i) {
    q[i] = static_cast<std::int16_t>(
        litert::convert(Rule::tflite, false, q[i], input, output, low, high));
  }
  return wide_image(codes, to);
}

Result<Tensor> fake_quantize_by(Rule rule, const Tensor& values, const Quantization& quantization) {
  if (!is_litert(rule) || !is_wide(&quantization)) {
    return fake_quantize(values, quantization.params, quantization.scheme);
  }
  if (values.dtype() != DType::f32) return bad_input("cannot quantize {}", name(values.dtype()));
  OCTET_ASSIGN(auto image, float_engine::new_tensor(DType::f32, values.shape()));
  const float scale = quantization.params.scale[0];
  const std::int32_t zero_point = quantization.params.zero_point[0];
  const auto qmin = static_cast<std::int32_t>(quantization.scheme.qmin());
  const auto qmax = static_cast<std::int32_t>(quantization.scheme.qmax());
  const float* x = values.data<float>();
  auto* out = image.mutable_data<float>();
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const std::int32_t code =
        rule == Rule::tflite ? litert::quantize_wide_reference(x[i], scale, zero_point, qmin, qmax)
                             : litert::quantize_wide_default(x[i], scale, zero_point, qmin, qmax);
    out[i] = dequantize_value(code, scale, zero_point);
  }
  return image;
}

}  // namespace octet
