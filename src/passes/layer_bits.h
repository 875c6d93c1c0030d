#pragma once
// How many bits the weights of each layer have, and the values that layers read.

#include <map>
#include <vector>

#include "passes/pipeline.h"

namespace octet {

/// Conv, ConvTranspose, Gemm or MatMul with constant weights.
[[nodiscard]] bool is_layer(const Graph& graph, const Node& node);
/// A convolution of one input channel to each output channel.
[[nodiscard]] bool is_depthwise(const Graph& graph, const Node& node);

struct LayerBits {
  int weights = 0;      ///< 0: no layer
  int inputs = 0;       ///< of the codes that it reads; 0: no product
  bool narrow = false;  ///< named by --int4: weights of 4 bits, packed where the format packs them
};

/// By node slot. The first layers (no layer before them) and the last ones (none behind) may have
/// bits of their own, as may the weights of depthwise convolutions, and layers that are named.
/// Fails on a cycle.
[[nodiscard]] Result<std::vector<LayerBits>> layer_bits(const Graph& graph,
                                                        const QuantizeOptions& options);

/// Notes the --int4 globs that name no layer.
void note_narrow(const Graph& graph, const QuantizeOptions& options,
                 std::vector<std::string>& notes);

struct PassContext;

/// How few bits the values between layers have. Few bits make products cheap, so only what products
/// read has them; sums and what is added keep 8. What is both has 8, and the products read it with
/// fewer.
struct ValueBits {
  std::map<ValueId, int> values;  ///< by representative of Placement::group, where below 8
  std::map<Use, int> uses;        ///< products that read a value of 8 bits with fewer
};
[[nodiscard]] ValueBits value_bits(const PassContext& context);

}  // namespace octet
