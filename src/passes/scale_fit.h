#pragma once
#include <map>
#include <vector>

#include "passes/scale_classes.h"

namespace octet {

/// Scales of channels by class, and whether they explain a layer's weights.
struct ScaleFit {
  std::vector<std::vector<double>> scales;
  std::map<NodeId, double> errors;  ///< what is left of each layer's weights, share of their power
};

/// Finds the scales by which the channels of `original` were multiplied (makers' weights by t,
/// readers' by 1 / t) before its weights became `coded`, by node. All layers of a class speak of
/// the same scales: each channel's ln t is the mean of what they say, weighted by its inverse
/// variance, least squares within each layer given the scales of its other side, in turns. A
/// channel that chance can tell from 1 no better than two standard errors stays as it is, and so do
/// classes of which no weights are known.
[[nodiscard]] ScaleFit fit_scales(const Graph& original, const std::vector<ValueClass>& classes,
                                  const std::map<NodeId, Tensor>& coded);

/// A layer's weights with the channels of `out` multiplied and those of `in` divided; nullptr: as
/// they are.
[[nodiscard]] Tensor scaled_weights(const Node& node, const Tensor& weights,
                                    const std::vector<double>* out, const std::vector<double>* in);

}  // namespace octet
