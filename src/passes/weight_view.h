#pragma once
// The weight of a Conv, ConvTranspose, Gemm or MatMul by output channel, input channel and tap,
// whatever its axes.

#include <vector>

#include "graph/graph.h"

namespace octet {

/// A weight as [groups][out][in][taps].
struct WeightView {
  std::int64_t groups = 1;
  std::int64_t outputs = 1;  ///< per group
  std::int64_t inputs = 1;   ///< per group
  std::int64_t taps = 1;
  bool input_major = false;  ///< Gemm without transB, ConvTranspose: [groups][in][out][taps]

  [[nodiscard]] std::int64_t output_channels() const { return groups * outputs; }
  [[nodiscard]] std::int64_t input_channels() const { return groups * inputs; }
  [[nodiscard]] std::size_t at(std::int64_t group, std::int64_t o, std::int64_t i,
                               std::int64_t tap) const {
    if (input_major) {
      return static_cast<std::size_t>(((group * inputs + i) * outputs + o) * taps + tap);
    }
    return static_cast<std::size_t>(((group * outputs + o) * inputs + i) * taps + tap);
  }
};

[[nodiscard]] WeightView view_of(const Node& node, const Tensor& weight);

/// Calls fn(output channel, input channel, index) for each element.
template <class Fn>
void for_each_weight(const WeightView& view, const Fn& fn) {
  for (std::int64_t g = 0; g < view.groups; ++g) {
    for (std::int64_t o = 0; o < view.outputs; ++o) {
      for (std::int64_t i = 0; i < view.inputs; ++i) {
        for (std::int64_t tap = 0; tap < view.taps; ++tap) {
          fn(static_cast<std::size_t>(g * view.outputs + o),
             static_cast<std::size_t>(g * view.inputs + i), view.at(g, o, i, tap));
        }
      }
    }
  }
}

/// Multiplies the output channels by `out` and divides the input channels by `in`; nullptr: as they
/// are.
void scale_channels(const WeightView& view, const std::vector<double>* out,
                    const std::vector<double>* in, float* weights);

/// For each tap of a Conv the share of output pixels at which it reads inside the input; ones where
/// extents are not known, and for Gemm. Of a ConvTranspose the share but for the borders.
[[nodiscard]] std::vector<double> tap_shares(const Graph& graph, const Node& node,
                                             const Tensor& weight, std::int64_t taps);

/// The bias of a node as a constant of its own; zeros are added where it has none.
[[nodiscard]] Result<ValueId> own_bias(Graph& graph, NodeId id, std::int64_t channels);

}  // namespace octet
