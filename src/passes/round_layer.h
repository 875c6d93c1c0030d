#pragma once
// Codes, scales and bias of one layer from samples of its inputs and of what it should give.

#include <limits>
#include <span>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"
#include "passes/round_row.h"
#include "passes/weight_view.h"

namespace octet {

/// Samples of a layer: `rows` of inputs as the quantized model before it gives them, and of outputs
/// as the float model has them.
struct LayerSamples {
  std::int64_t rows = 0;
  std::vector<float> inputs;   ///< [groups][rows][inputs * taps]
  std::vector<float> outputs;  ///< [groups][rows][outputs], before any activation
  std::vector<float> addends;  ///< likewise: added before the activation; empty for none
};

struct LayerProblem {
  WeightView view;
  const Tensor* weight = nullptr;  ///< f32
  std::span<const float> scale;    ///< by output channel, or one
  std::vector<float> least_scale;  ///< as many
  CodeLimits limits;
  bool free_bias = true;  ///< the layer has a bias of its own, which takes out the mean error
  /// Bounds of the activation behind layer and addend; with a free bias only.
  float low = -std::numeric_limits<float>::infinity();
  float high = std::numeric_limits<float>::infinity();
};

struct LayerRounding {
  Tensor codes;              ///< i8, in the shape of the weight
  std::vector<float> scale;  ///< as many as the problem's
  std::vector<float> bias;   ///< by output channel; empty without free_bias
  double nearest_error = 0;  ///< mean square error behind the activation of all output channels,
                             ///< with nearest codes and a bias that takes out their mean error
  double error = 0;          ///< with these
};

/// Rounds row by row (round_row.h). Behind the activation no output channel has a larger mean
/// square error over the samples than with nearest codes of the given scale; where channels share a
/// scale, the layer as a whole has not. The same numbers for any thread count.
///
/// Where the activation cuts off what the float model gives, anything beyond the same bound is as
/// good: there the layer is rounded again towards what it gives itself, which is a step of
/// majorization and minimization (Hunter and Lange 2004) of the error behind the activation.
[[nodiscard]] Result<LayerRounding> round_layer(const LayerProblem& problem,
                                                const LayerSamples& samples);

}  // namespace octet
