#include "kernels/elementwise.h"
#include "kernels/litert.h"
#include "kernels/x86/isa.h"

namespace octet::kernels::litert {
namespace {

// The same loops are compiled twice on x86-64: for AVX2 the compiler makes vectors of them, and
// std::fma is one instruction rather than a call.

[[gnu::always_inline]] inline void quantize_loop(HybridCodes codes, HybridParams params,
                                                 const float* values, std::uint8_t* output,
                                                 std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    output[i] = static_cast<std::uint8_t>(hybrid_code(codes, params, values[i]) + 128);
  }
}

[[gnu::always_inline]] inline void finish_loop(HybridOutput form, HybridRow row, HybridParams unit,
                                               const std::int32_t* accumulators, float* output) {
  for (std::int64_t c = 0; c < row.channels; ++c) {
    auto sum = static_cast<std::uint32_t>(accumulators[c]);
    if (row.weight_sums != nullptr) {
      sum -= static_cast<std::uint32_t>(unit.zero_point) *
             static_cast<std::uint32_t>(row.weight_sums[c]);
    }
    output[c] = hybrid_output(form, static_cast<std::int32_t>(sum), unit.scale, row.weight_scale[c],
                              row.bias[c]);
  }
}

[[gnu::always_inline]] inline void finish_rows(const HybridRow& row, const HybridParams& unit,
                                               const std::int32_t* accumulators, float* output,
                                               std::int64_t pixels) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    switch (row.form) {
      case HybridOutput::scales_first:
        finish_loop(HybridOutput::scales_first, row, unit, accumulators, output);
        break;
      case HybridOutput::channel_first:
        finish_loop(HybridOutput::channel_first, row, unit, accumulators, output);
        break;
      case HybridOutput::fused:
        finish_loop(HybridOutput::fused, row, unit, accumulators, output);
        break;
    }
    accumulators += row.channels;
    output += row.channels;
  }
}

#if defined(__x86_64__)
OCTET_AVX2 void quantize_avx2(HybridCodes codes, const HybridParams& params, const float* values,
                              std::uint8_t* output, std::int64_t count) {
  quantize_loop(codes, params, values, output, count);
}
OCTET_AVX2 void finish_avx2(const HybridRow& row, const HybridParams& unit,
                            const std::int32_t* accumulators, float* output, std::int64_t pixels) {
  finish_rows(row, unit, accumulators, output, pixels);
}
#endif

bool has_avx2() { return default_isa() != Isa::reference; }

}  // namespace

HybridParams quantize_unit(HybridCodes codes, const float* values, std::uint8_t* output,
                           std::int64_t count) {
  const Range range = value_range(values, count);
  const auto params = hybrid_params(codes, range.minimum, range.maximum);
#if defined(__x86_64__)
  if (has_avx2()) {
    quantize_avx2(codes, params, values, output, count);
    return params;
  }
#endif
  quantize_loop(codes, params, values, output, count);
  return params;
}

void finish_hybrid(const HybridRow& row, const HybridParams& unit, const std::int32_t* accumulators,
                   float* output, std::int64_t pixels) {
#if defined(__x86_64__)
  if (has_avx2()) return finish_avx2(row, unit, accumulators, output, pixels);
#endif
  finish_rows(row, unit, accumulators, output, pixels);
}

}  // namespace octet::kernels::litert
