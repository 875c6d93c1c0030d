#include "kernels/litert.h"

#include <algorithm>

#include "kernels/x86/x86_litert.h"

namespace octet::kernels::litert {
namespace {

Channel channel_of(const Requantization& params, std::size_t c) {
  Channel channel;
  switch (params.scaling) {
    case Scaling::floating: channel.floating = params.floating[c]; break;
    case Scaling::twice_rounded:
    case Scaling::rounded_up:
      channel.fixed = {params.multiplier[c], params.left[c] - params.right[c]};
      break;
    case Scaling::real: channel.real = params.real[c]; break;
  }
  return channel;
}

}  // namespace

RequantizeRows x86_requantize([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa >= Isa::avx512vnni && isa_available(Isa::avx512vnni)) return requantize_avx512;
  if (isa >= Isa::avx2 && isa_available(Isa::avx2)) return requantize_avx2;
#endif
  return nullptr;
}

Requantization make_requantization(const LayerForm& form, float input_scale,
                                   const std::vector<float>& weight_scale, float output_scale) {
  Requantization result;
  result.scaling = form.scaling;
  result.channels = static_cast<std::int64_t>(weight_scale.size());
  constexpr std::int64_t lanes = 16;
  const bool repeats = result.channels > 0 && lanes % result.channels == 0;
  result.period = repeats ? lanes : result.channels;
  for (std::int64_t i = 0; i < result.period; ++i) {
    const float scale = weight_scale[static_cast<std::size_t>(i % result.channels)];
    const Channel made = channel(form.product, input_scale, scale, output_scale);
    switch (form.scaling) {
      case Scaling::floating: result.floating.push_back(made.floating); break;
      case Scaling::twice_rounded:
      case Scaling::rounded_up:
        result.multiplier.push_back(made.fixed.multiplier);
        result.left.push_back(std::max(made.fixed.shift, 0));
        result.right.push_back(std::max(-made.fixed.shift, 0));
        break;
      case Scaling::real: result.real.push_back(made.real); break;
    }
  }
  return result;
}

void requantize(const Requantization& params, const std::int32_t* accumulators,
                std::uint8_t* output, std::int64_t rows, Isa isa) {
  if (const auto vectors = x86_requantize(isa); vectors != nullptr) {
    return vectors(params, accumulators, output, rows * params.channels);
  }
  for (std::int64_t c = 0; c < params.channels; ++c) {
    const Channel channel = channel_of(params, static_cast<std::size_t>(c));
    for (std::int64_t i = c; i < rows * params.channels; i += params.channels) {
      output[i] = static_cast<std::uint8_t>(octet::litert::requantize(
          params.scaling, channel, accumulators[i], params.zero_point, params.low, params.high));
    }
  }
}

void add_accumulators(const std::int32_t* addend, std::int32_t* sum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    sum[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum[i]) +
                                       static_cast<std::uint32_t>(addend[i]));
  }
}

}  // namespace octet::kernels::litert
