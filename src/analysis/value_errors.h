#pragma once
// The error of each quantized value, split by where it comes from.

#include <map>
#include <optional>
#include <vector>

#include "analysis/plan_trials.h"

namespace octet {

/// Of one value over all samples. Powers are sums of squares over elements.
struct ValueErrors {
  double signal = 0;      ///< of the float values
  double noise = 0;       ///< of what the quantized model has there, all layers before included
  double clipping = 0;    ///< float values less the nearest code, where these lie outside the range
  double rounding = 0;    ///< the same inside the range
  double mean_shift = 0;  ///< the part of `noise` that is the mean error of a channel
  double outside = 0;     ///< share of the float values beyond the range by more than half a step
  std::vector<float> channel_range;       ///< largest magnitude by channel (axis 1)
  std::vector<double> outside_by_sample;  ///< in the order of the selection
  std::vector<std::int64_t> samples;      ///< data set index of each

  [[nodiscard]] double sqnr_db() const;
  /// Largest of the channels' ranges over their median; 1 without channels.
  [[nodiscard]] double channel_ratio() const;
};

/// Collects errors of the values that a plan quantizes, and of the graph's outputs, as a
/// BaseVisitor. Keeps a few numbers for each sample, value and channel.
class ValueErrorCollector {
 public:
  explicit ValueErrorCollector(const QuantizedGraph& model);

  [[nodiscard]] Status visit(int worker, const Batch& batch, const BaseValues& values);
  /// Sums in the order of the selection: the same for any thread count.
  [[nodiscard]] std::map<ValueId, ValueErrors> errors() const;

 private:
  /// One value of one sample.
  struct Sample {
    ValueId value = ValueId::none;
    std::int64_t index = 0;  ///< in the data set
    double signal = 0, noise = 0, clipping = 0, rounding = 0;
    std::int64_t count = 0, outside = 0;
    std::vector<double> error;  ///< sum by channel
    std::vector<float> range;   ///< largest magnitude by channel
  };
  /// Without quantization: clipping, rounding and what lies outside.
  [[nodiscard]] static Sample between(const Tensor& x, const Tensor& y);
  static void add_own_error(const Tensor& x, const Quantization& q, Sample& sample);

  std::map<ValueId, std::optional<Quantization>> values_;
  std::vector<std::map<std::int64_t, std::vector<Sample>>> by_worker_;  ///< by batch
};

/// Largest magnitude of a tensor by index of an axis.
[[nodiscard]] std::vector<float> ranges_along(const Tensor& tensor, int axis);
/// Largest over median; 1 where there are fewer than two or the median is 0.
[[nodiscard]] double largest_over_median(std::vector<float> ranges);

}  // namespace octet
