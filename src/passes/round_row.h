#pragma once
// Rounding the weights of one output channel against the second moments of its inputs.
//
// An output channel with weights v gives v.x for an input row x; y is what it should give. The mean
// square error, over rows, with a bias that takes out its mean, is up to a constant
//
//   E(v) = v'Hv - 2 v'r,   H = cov(x, x), r = cov(x, y)
//
// which v = s * q, q integers of few bits, is to make small. What is minimized is
//
//   E(v) + k (v - w)'H(v - w) + d |v - w|^2,   w the float weights
//
// k weighs giving what the float weights give on the same inputs against giving y. The rows are
// few: fitted to y alone the weights learn what the layers before got wrong on these rows by heart.
// d keeps weights of inputs that hardly vary where they were.

#include <cstdint>
#include <span>
#include <vector>

#include "arithmetic/params.h"
#include "core/result.h"

namespace octet {

struct CodeLimits {
  std::int32_t low = -127;
  std::int32_t high = 127;
};

/// Codes of one output channel and their scale.
struct RoundedRow {
  std::vector<std::int8_t> codes;
  float scale = 1;
  double error = 0;  ///< what is minimized, without its constant
};

/// What one output channel should be; RowRounder::target makes it.
struct RowTarget {
  std::span<const float> weights;  ///< w
  std::vector<float> damped;       ///< r + k H w + d w
  float least_scale = scale_floor;
};

/// How strongly weights are held, see above.
struct Damping {
  double outputs = 0;  ///< k
  double weights = 0;  ///< d as a share of the mean of H's diagonal
};

/// Rounds rows that share their inputs. Immutable, thread-safe.
class RowRounder {
 public:
  /// `moments` is H, [inputs][inputs].
  [[nodiscard]] static Result<RowRounder> make(std::vector<float> moments, std::int64_t inputs,
                                               const Damping& damping);

  [[nodiscard]] RowTarget target(std::span<const float> weights, std::span<const float> products,
                                 float least_scale) const;

  /// Each weight to the nearest code.
  [[nodiscard]] RoundedRow nearest(const RowTarget& row, float scale,
                                   const CodeLimits& limits) const;
  /// Nearest plane (Babai 1986; the same numbers as GPTQ, Frantar et al. 2023): one weight after
  /// the other is rounded to what is best given those before, least varying inputs last.
  [[nodiscard]] RoundedRow successive(const RowTarget& row, float scale,
                                      const CodeLimits& limits) const;
  /// successive() with the best of several shares of `scale`.
  [[nodiscard]] RoundedRow search_scale(const RowTarget& row, float scale, const CodeLimits& limits,
                                        std::span<const double> shares) const;
  /// Moves single codes to their best neighbours as long as that lowers the error.
  void descend(const RowTarget& row, const CodeLimits& limits, RoundedRow& rounded) const;
  /// Best scale for the codes as they are; they stay the same.
  void fit_scale(const RowTarget& row, RoundedRow& rounded) const;

 private:
  [[nodiscard]] std::vector<double> factored_target(const RowTarget& row) const;
  [[nodiscard]] RoundedRow successive(std::span<const double> factored, float scale,
                                      const CodeLimits& limits) const;
  [[nodiscard]] double damped_error(const RowTarget& row, const RoundedRow& rounded) const;
  /// M v
  [[nodiscard]] std::vector<float> moments_times(std::span<const float> v) const;

  std::int64_t inputs_ = 0;
  double held_outputs_ = 0;          ///< k
  double held_weights_ = 0;          ///< d
  std::vector<float> moments_;       ///< M = (1 + k) H + d
  std::vector<std::int64_t> order_;  ///< of the factor: diagonal of H ascending
  std::vector<double> lower_;        ///< L, [inputs][inputs], M = L L', in that order
  std::vector<float> upper_;         ///< L'
};

}  // namespace octet
