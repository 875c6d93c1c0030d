#pragma once
// A layer as products of rows: at each output position of a sample, the inputs that the weights
// meet there, and the outputs that come of them.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/program.h"
#include "graph/plan.h"
#include "passes/weight_view.h"

namespace octet {

/// Conv of 1 and 2 dimensions, Gemm and MatMul with constant weights, on samples of batch 1. In a
/// row of inputs of one group, input i and tap t stand at i * taps + t: as WeightView has them.
class LayerRows {
 public:
  /// nullopt for layers that are no such product.
  [[nodiscard]] static std::optional<LayerRows> make(const Graph& graph, NodeId id);

  [[nodiscard]] const WeightView& view() const { return view_; }
  [[nodiscard]] std::int64_t row_length() const { return view_.inputs * view_.taps; }

  /// Output positions of a value that the layer reads, 0 where it cannot be read by rows.
  [[nodiscard]] std::int64_t positions(const TapView& input) const;

  /// Rows at some output positions, [groups][positions][row_length]; padding gives 0. Codes stand
  /// for what `quantization` says.
  [[nodiscard]] std::vector<float> inputs(const TapView& input, const Quantization* quantization,
                                          std::span<const std::int64_t> positions) const;
  /// Output channels at those positions, [groups][positions][outputs]. Empty where the value has
  /// not the layer's output channels.
  [[nodiscard]] std::vector<float> outputs(const TapView& output, const Quantization* quantization,
                                           std::span<const std::int64_t> positions) const;

 private:
  [[nodiscard]] std::vector<float> window(const TapView& input, const Quantization* quantization,
                                          std::span<const std::int64_t> positions) const;

  Node node_;
  Shape weight_shape_;
  WeightView view_;
  bool convolves_ = false;
};

/// `count` of `total` positions, ascending: one at random in each of `count` even parts; all of
/// them when there are no more.
[[nodiscard]] std::vector<std::int64_t> draw_positions(std::int64_t total, std::int64_t count,
                                                       std::uint64_t seed);

}  // namespace octet
