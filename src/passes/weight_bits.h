#pragma once
// How many bits the weights of each layer have.

#include <vector>

#include "passes/pipeline.h"

namespace octet {

/// Conv, ConvTranspose, Gemm or MatMul with constant weights.
[[nodiscard]] bool is_layer(const Graph& graph, const Node& node);
/// A convolution of one input channel to each output channel.
[[nodiscard]] bool is_depthwise(const Graph& graph, const Node& node);

/// By node slot: the bits of a layer's weights as the options want them, 0 for other nodes. The
/// first layers (no layer before them) and the last ones (none behind) may have bits of their own,
/// as may depthwise convolutions. Fails on a cycle.
[[nodiscard]] Result<std::vector<int>> layer_bits(const Graph& graph,
                                                  const QuantizeOptions& options);

}  // namespace octet
