#pragma once
// Finds the scales of channels for which quantization adds the least noise to a network's outputs.
//
// A network keeps its function when channel i of a value is multiplied by t_i > 0, and the weights
// that make it and those that read it are multiplied and divided alike. Rounding is then modelled
// as noise: a layer with weights W' = t_out W / t_in and the step D = max |W'| / levels adds
//
//   D^2 / 12 * taps * sum_i t_in,i^2 var(x_i) / t_out,o^2
//
// to its channel o, a coded value with the step S the noise S^2 / 12 / t_i^2 to channel i; each is
// weighted with the channel's importance, the share of its noise that reaches the outputs. (The
// mean of the errors is not counted: bias correction takes it out.) In log t the sum is a geometric
// program (Boyd et al., "A tutorial on geometric programming", 2007), so convex: it is minimised by
// gradient descent, with the maxima smoothed to p-norms of growing p.

#include <vector>

#include "core/result.h"

namespace octet {

/// Channels that are scaled together: of one value, or of several that must agree.
struct ScaleClass {
  std::vector<double> lowest;   ///< bounds of log t, by channel
  std::vector<double> highest;  ///< where both are 0, the channel stays as it is
};

/// A Conv or Gemm between two classes. Weights are [groups][outputs][inputs].
struct NoisyLayer {
  int in = -1;   ///< class of the input, -1: not scaled
  int out = -1;  ///< class of the output, -1: not scaled
  std::int64_t groups = 1;
  std::int64_t outputs = 1;  ///< per group
  std::int64_t inputs = 1;   ///< per group
  double taps = 1;
  bool per_channel = false;        ///< a step for each output channel
  double levels = 127;             ///< codes from 0 to the largest magnitude
  std::vector<float> magnitude;    ///< largest |w| of the taps
  std::vector<double> importance;  ///< by output channel
  std::vector<double> variance;    ///< by input channel
};

/// A value that is coded with one step.
struct NoisyValue {
  int scale_class = -1;
  double levels = 255;             ///< steps from 0 to the largest magnitude
  std::vector<double> magnitude;   ///< largest |x|, by channel
  std::vector<double> importance;  ///< by channel
};

struct ScaleProblem {
  std::vector<ScaleClass> classes;
  std::vector<NoisyLayer> layers;
  std::vector<NoisyValue> values;
};

struct ScaleSolution {
  std::vector<std::vector<double>> log_scales;  ///< by class and channel
  double noise_before = 0;                      ///< the sum at t = 1 and at the solution
  double noise_after = 0;
};

/// The same numbers for any thread count. Fails only when cancelled.
[[nodiscard]] Result<ScaleSolution> search_scales(const ScaleProblem& problem);

}  // namespace octet
