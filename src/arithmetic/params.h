#pragma once
// QuantParams: the numbers of a quantization. real = scale * (q - zero_point).

#include <cstdint>
#include <vector>

#include "arithmetic/scheme.h"
#include "core/result.h"

namespace octet {

struct QuantParams {
  std::vector<float> scale;              ///< each finite and > 0
  std::vector<std::int32_t> zero_point;  ///< as many as scale, within the code range
  int axis = -1;  ///< -1: per-tensor (one scale); else the axis they run along

  [[nodiscard]] bool per_channel() const { return axis >= 0; }
  [[nodiscard]] std::size_t count() const { return scale.size(); }

  friend bool operator==(const QuantParams&, const QuantParams&) = default;
};

/// Smallest scale that params_from_range gives: the smallest normal f32 times 2^76, so that
/// products of two scales stay normal.
inline constexpr float scale_floor = 0x1.0p-50F;

/// A scale and zero point (per-tensor, one element) for values in [minimum, maximum].
///
/// Widened to contain 0, which must be exactly representable; [0, 0] becomes [0, 1]. Asymmetric:
/// scale = (max - min) / (qmax - qmin), zero_point = clamp(round_half_even(qmin - min / scale)).
/// Symmetric: scale = max(|min|, |max|) / qmax, zero_point = 0. Computed in double, stored as f32;
/// scale is never below scale_floor. minimum and maximum must be finite.
[[nodiscard]] QuantParams params_from_range(double minimum, double maximum,
                                            const QuantScheme& scheme);

/// The real values that the smallest and the largest code stand for.
[[nodiscard]] double range_minimum(const QuantParams& params, const QuantScheme& scheme,
                                   std::size_t channel = 0);
[[nodiscard]] double range_maximum(const QuantParams& params, const QuantScheme& scheme,
                                   std::size_t channel = 0);

/// Sizes agree, scales are finite and positive, zero points lie in the code range.
[[nodiscard]] Status validate(const QuantParams& params, const QuantScheme& scheme);

}  // namespace octet
