#include "engine/integer/wide_values.h"

#include "arithmetic/litert.h"
#include "arithmetic/quantize.h"
#include "engine/float/buffer_pool.h"
#include "engine/integer/litert_placement.h"

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
