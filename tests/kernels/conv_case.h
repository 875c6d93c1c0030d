#pragma once
// Text cases for convolutions and an oracle that shares nothing with the kernels.
//
//   conv i8 g1 ic3 ih8 oc16 kh3 ph1 zp=3 perchannel
//
// g groups; ic oc channels; n batch; ih iw input; kh kw kernel; sh sw stride; dh dw dilation; ph pw
// padding on both sides, or pt pl pb pr one by one; zp zy input and output zero points; low high
// output limits. Widths default to heights. perchannel | pertensor: multipliers. nobias. extreme:
// only the codes at the ends of the ranges.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/conv.h"

namespace octet::kernels::testing {

struct ConvCase {
  std::string text;
  ConvParams params;
  std::vector<std::uint8_t> input;
};

/// All cases of tests/kernels/cases/conv.txt; nullopt (with a failure recorded) on a bad line.
std::vector<std::string> case_lines(const std::string& file);
std::optional<ConvCase> parse_case(const std::string& line);

/// Fills weights, bias, multipliers and input for a geometry, from a fixed seed.
std::vector<std::uint8_t> random_input(const ConvGeometry& geometry, bool extreme, unsigned seed);

/// Every output, in int64 and double.
std::vector<std::uint8_t> oracle(const ConvParams& params, const ConvGeometry& geometry,
                                 const std::vector<std::uint8_t>& input);

}  // namespace octet::kernels::testing
