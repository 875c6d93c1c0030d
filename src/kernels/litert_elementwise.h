#pragma once
// Elementwise kernels of rules tflite and xnnpack on u8 codes (signed code + 128). Vector forms are
// chosen as OCTET_KERNELS says, and give the same bits.

#include "arithmetic/litert_binary.h"
#include "kernels/elementwise.h"

namespace octet::kernels::litert {

using namespace octet::litert;

[[nodiscard]] inline Affine affine(const CodeParams& params) {
  return {params.scale, params.zero_point};
}

/// All operators but divide: arithmetic/litert_binary.h.
void binary(const BinaryParams& params, const BinaryGeometry& geometry, const std::uint8_t* a,
            const std::uint8_t* b, std::uint8_t* output, std::int64_t first_row,
            std::int64_t last_row);
[[nodiscard]] Operation operation(BinaryOp op);

/// QUANTIZE of f32: `quantize` of arithmetic/litert_unary.h.
void quantize_codes(const CodeParams& params, const float* input, std::uint8_t* output,
                    std::int64_t count);

}  // namespace octet::kernels::litert
