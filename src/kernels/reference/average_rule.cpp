#include "kernels/reference/average_rule.h"

#include <algorithm>

#include "arithmetic/litert_average.h"
#include "arithmetic/openvino.h"
#include "arithmetic/requantize.h"

namespace octet::kernels {

void AverageRule::store(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                        std::int64_t length) const {
  if (is_litert(output_.rule)) return store_litert(sums, count, output, length);
  if (output_.rule == Rule::openvino) return store_openvino(sums, count, output, length);
  store_onnx(sums, count, output, length);
}

void AverageRule::store_onnx(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                             std::int64_t length) const {
  const CodeParams out = output_;
  const float multiplier =
      onnx_average_multiplier(input_.scale, out.scale, std::max<std::int64_t>(count, 1));
  for (std::int64_t i = 0; i < length; ++i) {
    output[i] = static_cast<std::uint8_t>(
        requantize_onnx(sums[i], multiplier, out.zero_point, out.low, out.high));
  }
}

void AverageRule::store_openvino(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                                 std::int64_t length) const {
  const CodeParams out = output_;
  const std::int32_t zero_point = input_.zero_point;
  const auto line =
      openvino::average_line(input_.scale, zero_point, openvino::limits(out.scale, out.zero_point));
  const auto form =
      averaging_ == Averaging::pool ? openvino::Average::multiplies : openvino::Average::divides;
  for (std::int64_t i = 0; i < length; ++i) {
    const std::int64_t sum = sums[i] + count * zero_point;
    const float mean = openvino::average(form, sum, std::max<std::int64_t>(count, 1));
    output[i] = static_cast<std::uint8_t>(openvino::quantize(mean, line, out.low, out.high));
  }
}

void AverageRule::store_litert(const std::int32_t* sums, std::int64_t count, std::uint8_t* output,
                               std::int64_t length) const {
  const CodeParams out = output_;
  const std::int32_t offset = out.file_offset();
  if (averaging_ == Averaging::pool) {
    // A window in the padding alone has the zero point.
    for (std::int64_t i = 0; i < length; ++i) {
      const std::int32_t code =
          count > 0 ? litert::pooled(sums[i], count) + offset : out.zero_point;
      output[i] = static_cast<std::uint8_t>(saturate<std::int32_t>(code, out.low, out.high));
    }
    return;
  }
  const auto average = litert::average(
      out.rule, averaging_ == Averaging::sum ? litert::Reduction::sum : litert::Reduction::mean,
      count, {input_.scale, input_.zero_point - input_.file_offset()},
      {out.scale, out.zero_point - offset});
  for (std::int64_t i = 0; i < length; ++i) {
    output[i] = static_cast<std::uint8_t>(
        litert::code(average, sums[i], out.low - offset, out.high - offset) + offset);
  }
}

}  // namespace octet::kernels
