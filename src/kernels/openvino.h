#pragma once
// Kernels of rule openvino (arithmetic/openvino.h): how its operators make u8 codes. `count`
// elements side by side; operands of Add may repeat one element (step 0). Vector forms are chosen
// as OCTET_KERNELS says, and give the same bits.

#include <cstdint>

#include "arithmetic/openvino.h"

namespace octet::kernels::openvino {

using namespace octet::openvino;

struct CodeLine {
  Line line;
  std::uint8_t low = 0;
  std::uint8_t high = 255;
};

/// q = limit(round(fma(x, ratio, shift))).
void quantize_codes(const CodeLine& params, const float* input, std::uint8_t* output,
                    std::int64_t count);

struct SumParams {
  Sum sum;
  bool own_code = false;  ///< the moved operand by moved_own_code, else by moved_code
  std::uint8_t low = 0;
  std::uint8_t high = 255;
};

/// Add of two coded operands.
void add_codes(const SumParams& params, const std::uint8_t* moved, std::int64_t moved_step,
               const std::uint8_t* kept, std::int64_t kept_step, std::uint8_t* output,
               std::int64_t count);
/// Add of real numbers to codes.
void add_reals(const SumParams& params, const float* moved, std::int64_t moved_step,
               const std::uint8_t* kept, std::int64_t kept_step, std::uint8_t* output,
               std::int64_t count);

}  // namespace octet::kernels::openvino
