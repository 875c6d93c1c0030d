#pragma once
// The range of a weight: what the largest code stands for.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "arithmetic/scheme.h"
#include "core/tensor.h"

namespace octet {

enum class WeightObserver : std::uint8_t {
  minmax,  ///< the largest magnitude
  mse,     ///< the range with the smallest squared error of the weights, at most that
};

[[nodiscard]] std::string_view name(WeightObserver observer);
[[nodiscard]] std::optional<WeightObserver> weight_observer_from_name(std::string_view text);

/// Range in each slice of an f32 weight along `axis`, or of the whole tensor for axis -1; `scheme`
/// is symmetric. 0 for a slice of zeros.
[[nodiscard]] std::vector<float> weight_ranges(const Tensor& weight, int axis,
                                               const QuantScheme& scheme, WeightObserver observer);

}  // namespace octet
