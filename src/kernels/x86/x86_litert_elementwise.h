#pragma once
// Vector forms of litert_elementwise.h, bit-equal to the formulas.

#if defined(__x86_64__)

#include <cstdint>

#include "kernels/conv.h"
#include "kernels/litert_elementwise.h"

namespace octet::kernels::litert {

struct ElementwiseVectors {
  /// ratio_sum to codes within [low, high].
  void (*ratio_sums)(const Binary& params, std::uint8_t low, std::uint8_t high,
                     const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* output,
                     std::int64_t count) = nullptr;
  /// sums = (a - its zero point) * (b - its zero point).
  void (*products)(const Binary& params, const std::uint8_t* a, const std::uint8_t* b,
                   std::int32_t* sums, std::int64_t count) = nullptr;
  /// sums = a_units[a] + b_units[b].
  void (*unit_sums)(const std::int32_t* a_units, const std::int32_t* b_units, const std::uint8_t* a,
                    const std::uint8_t* b, std::int32_t* sums, std::int64_t count) = nullptr;
  void (*quantize)(const CodeParams& params, const float* input, std::uint8_t* output,
                   std::int64_t count) = nullptr;
};

/// nullptr where plain loops have to do. Code ranges must have low <= high.
[[nodiscard]] const ElementwiseVectors* x86_elementwise_vectors(Isa isa);

}  // namespace octet::kernels::litert

#endif
