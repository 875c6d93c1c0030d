#pragma once
// AdaRound (Nagel et al. 2020): whether a weight is rounded up or down as a number that can be
// learned.
//
//   h(v) = clip(1.2 * sigmoid(v) - 0.1, 0, 1)              rectified sigmoid
//   w(v) = scale * clip(base + h(v), low, high)            base: the code below
//   loss = mean over rows of |f(x w(v) + b) - f(y)|^2 / |f(y)|^2
//        + strength * mean over weights of 1 - |2 h(v) - 1|^beta
//
// f is the activation behind the layer. The bias b takes out the mean error of the sums. The second
// term drives h to 0 or 1; beta falls, so that it acts on all weights at the end and on the decided
// ones alone before.

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "core/result.h"

namespace octet {

/// Rows of a group: inputs and outputs without their means, which `offset` gives back.
struct RoundingRows {
  std::int64_t rows = 0;
  std::int64_t length = 0;        ///< inputs of a row
  std::span<const float> inputs;  ///< [rows][length]
};

/// Some output channels of a group.
struct SoftRounding {
  std::int64_t channels = 0;
  std::vector<float> base;    ///< [channels][length]
  std::vector<float> v;       ///< likewise: what is learned
  std::vector<float> scale;   ///< [channels]
  std::vector<float> offset;  ///< [channels]: mean of the sums
  float code_low = -7;
  float code_high = 7;
  float low = -std::numeric_limits<float>::infinity();  ///< bounds of f
  float high = std::numeric_limits<float>::infinity();
};

/// h(v), and the v of which it is h: within (0, 1).
[[nodiscard]] float rectified_sigmoid(float v);
[[nodiscard]] float inverse_rectified_sigmoid(float h);

/// The parts of the loss and its gradient by v over some rows.
struct RoundingLoss {
  double reconstruction = 0;
  double regularizer = 0;
  std::vector<float> gradient;  ///< [channels][length]
};

/// `targets` and `addends` are [rows][channels]: the sums that x w(v) is to give (less their mean)
/// and what is added before the activation, none when empty. `power` is what the squares are
/// divided by.
struct RoundingTargets {
  std::span<const float> sums;
  std::span<const float> addends;
  double power = 1;
};

[[nodiscard]] Result<RoundingLoss> rounding_loss(const SoftRounding& soft, const RoundingRows& rows,
                                                 const RoundingTargets& targets, double strength,
                                                 double beta);

struct LearnOptions {
  int iterations = 1000;
  std::int64_t batch = 256;  ///< rows
  float learning_rate = 1e-2F;
  double strength = 0.02;
  double beta_start = 20;
  double beta_end = 2;
  double warm_up = 0.2;  ///< share of the iterations without the regularizer
  std::uint64_t seed = 0;
};

/// Adam on v with batches of rows drawn at random.
[[nodiscard]] Status learn_rounding(SoftRounding& soft, const RoundingRows& rows,
                                    const RoundingTargets& targets, const LearnOptions& options);

/// Mean over rows of |f(x w + b) - f(y)|^2 with w = scale * codes, codes [channels][length]; by
/// channel.
[[nodiscard]] Result<std::vector<double>> activation_errors(const SoftRounding& soft,
                                                            const RoundingRows& rows,
                                                            const RoundingTargets& targets,
                                                            std::span<const float> codes);

}  // namespace octet
