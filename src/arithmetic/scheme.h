#pragma once
// QuantScheme: the policy for quantizing a tensor, before any numbers are known.

#include <cstdint>
#include <string>

namespace octet {

enum class Symmetry : std::uint8_t {
  symmetric,   ///< zero_point is 0
  asymmetric,  ///< zero_point is free
};

enum class Granularity : std::uint8_t {
  per_tensor,
  per_channel,  ///< one scale and zero point for each index of `axis`
};

enum class CodeRange : std::uint8_t {
  full,    ///< [-2^(bits-1), 2^(bits-1) - 1]
  narrow,  ///< [-(2^(bits-1) - 1), 2^(bits-1) - 1]: symmetric around 0
};

/// Codes are signed throughout octet. A runtime that stores unsigned integers gets code +
/// 2^(bits-1) and the zero point moved alike: that is an export choice (Quantization::storage).
struct QuantScheme {
  int bits = 8;  ///< 2 to 16; 32 and 64 of biases
  Symmetry symmetry = Symmetry::asymmetric;
  Granularity granularity = Granularity::per_tensor;
  int axis = 0;  ///< read only when granularity is per_channel
  CodeRange range = CodeRange::full;

  [[nodiscard]] std::int64_t qmax() const {
    return static_cast<std::int64_t>((std::uint64_t{1} << (bits - 1)) - 1);
  }
  [[nodiscard]] std::int64_t qmin() const {
    return range == CodeRange::full ? -qmax() - 1 : -qmax();
  }

  friend bool operator==(const QuantScheme&, const QuantScheme&) = default;
};

/// "s8 asymmetric per-tensor", "s7 symmetric narrow per-channel(0)"
[[nodiscard]] std::string to_string(const QuantScheme& scheme);

}  // namespace octet
