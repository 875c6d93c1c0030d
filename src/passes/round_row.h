#pragma once
// Rounding the weights of one output channel against the second moments of its inputs.
//
// An output channel with weights v gives v.x for an input row x; y is what it should give. The mean
// square error, over rows, with a bias that takes out its mean, is up to a constant
//
//   E(v) = v'Hv - 2 v'r,   H = cov(x, x), r = cov(x, y)
//
// which v = s * q, q integers of few bits, is to make small. To that damping adds d |v - w|^2, w the
// float weights, so that directions in which the rows hardly vary stay where they were.

#include <cstdint>
#include <span>
#include <vector>

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
  double error = 0;  ///< E(v) with damping, without its constant
};

/// What one output channel should be.
struct RowTarget {
  std::span<const float> weights;  ///< w
  std::span<const float> products; ///< r, without damping
};

/// Rounds rows that share their inputs. Immutable, thread-safe.
class RowRounder {
 public:
  /// `moments` is H, [inputs][inputs]. Damping is a share of the mean of its diagonal.
  [[nodiscard]] static Result<RowRounder> make(std::vector<float> moments, std::int64_t inputs,
                                               double damping);

  /// Each weight to the nearest code.
  [[nodiscard]] RoundedRow nearest(const RowTarget& row, float scale,
                                   const CodeLimits& limits) const;
  /// Nearest plane (Babai 1986; the same numbers as GPTQ, Frantar et al. 2023): one weight after the
  /// other is rounded to what is best given those before, least varying inputs last.
  [[nodiscard]] RoundedRow successive(const RowTarget& row, float scale,
                                      const CodeLimits& limits) const;
  /// successive() with the best of several shares of `scale`.
  [[nodiscard]] RoundedRow search_scale(const RowTarget& row, float scale, const CodeLimits& limits,
                                        std::span<const double> shares) const;
  /// Moves single codes to their best neighbours as long as that lowers the error.
  void descend(const RowTarget& row, const CodeLimits& limits, RoundedRow& rounded) const;
  /// Best scale for the codes as they are; they stay the same.
  void fit_scale(const RowTarget& row, RoundedRow& rounded) const;
  /// E(v) without damping.
  [[nodiscard]] double plain_error(const RowTarget& row, const RoundedRow& rounded) const;

  [[nodiscard]] std::int64_t inputs() const { return inputs_; }

 private:
  [[nodiscard]] std::vector<double> factored_target(const RowTarget& row) const;
  [[nodiscard]] RoundedRow successive(std::span<const double> factored, float scale,
                                      const CodeLimits& limits) const;
  [[nodiscard]] double damped_error(const RowTarget& row, const RoundedRow& rounded) const;
  /// (H + d) v for v = scale * codes.
  [[nodiscard]] std::vector<float> moments_times(const RoundedRow& rounded) const;

  std::int64_t inputs_ = 0;
  double damping_ = 0;              ///< d
  std::vector<float> moments_;      ///< H + d
  std::vector<std::int64_t> order_; ///< of the factor: diagonal of H ascending
  std::vector<double> lower_;       ///< L, [inputs][inputs], H + d = L L', in that order
  std::vector<float> upper_;        ///< L'
};

}  // namespace octet
