#pragma once
// Which layers to leave in float, and which to give weights of 4 bits, in which order.

#include "tuning/trial.h"

namespace octet {

using Layers = std::vector<LayerEffect>;

/// Layers that gain by being left in float, by gain per cost, most first. The cost is a layer's
/// share of the weights where the goal limits bytes, of the time that float adds where it limits
/// milliseconds, else of weights and multiply-accumulates together.
[[nodiscard]] Layers by_float_gain(const Layers& layers, const Goal& goal);

/// The first of `ordered` that hold at most `share` of all multiply-accumulates together.
[[nodiscard]] Layers up_to_share(const Layers& ordered, const Layers& all, double share);

/// Layers that may have weights of 4 bits, by output error per byte saved, least first.
[[nodiscard]] Layers by_narrow_loss(const Layers& layers);

/// How many of `ordered` it takes to save that many bytes; nullopt when all of them do not.
[[nodiscard]] std::optional<std::size_t> layers_to_save(const Layers& ordered, std::uint64_t bytes);

/// A byte holds two weights of 4 bits.
[[nodiscard]] constexpr std::uint64_t bytes_saved(const LayerEffect& layer) {
  return static_cast<std::uint64_t>(layer.weights / 2);
}
/// A float takes three bytes more than a code.
[[nodiscard]] constexpr std::uint64_t bytes_added(const LayerEffect& layer) {
  return static_cast<std::uint64_t>(layer.weights * 3);
}

}  // namespace octet
