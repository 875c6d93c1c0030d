#include "arithmetic/bias.h"

#include "arithmetic/round.h"

namespace octet {
namespace {

constexpr double limit_of_64 = 0x1.0p47 - 1;

template <class Code>
Tensor codes_of(const Tensor& bias, const QuantParams& params, DType type, double limit) {
  Tensor codes(type, bias.shape());
  auto* out = codes.mutable_data<Code>();
  const auto values = bias.values<float>();
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double scale = static_cast<double>(params.scale[params.per_channel() ? i : 0]);
    const double code = round_half_even(static_cast<double>(values[i]) / scale);
    out[i] = static_cast<Code>(saturate(code, -limit, limit));
  }
  return codes;
}

}  // namespace

Tensor quantize_bias(const Tensor& bias, const QuantParams& params, BiasWidth width) {
  if (width == BiasWidth::int64) {
    return codes_of<std::int64_t>(bias, params, DType::i64, limit_of_64);
  }
  return codes_of<std::int32_t>(bias, params, DType::i32, largest_bias_code);
}

}  // namespace octet
