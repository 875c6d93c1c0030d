#pragma once
// Calibration samples for passes that run over them again and again.

#include <vector>

#include "calibration/channel_profile.h"
#include "engine/program.h"

namespace octet {

/// Keeps decoded samples up to a limit of bytes; what does not fit is read again in each sweep.
class SampleStore {
 public:
  SampleStore(const SampleSource& source, const Graph& graph, std::int64_t sample_limit,
              std::size_t byte_limit)
      : source_(source), graph_(graph), sample_limit_(sample_limit), byte_limit_(byte_limit) {}

  /// Gets tapped values of sample number `sample`; from several threads, but for one sample from
  /// one.
  using SampleTap = std::function<void(std::int64_t sample, const TapView& view)>;

  /// Runs a program on all samples.
  [[nodiscard]] Status sweep(const Program& program, const std::vector<ValueId>& values,
                             const SampleTap& tap);

  /// Upper bound of the sample numbers, from the first sweep on.
  [[nodiscard]] std::int64_t slots() const { return static_cast<std::int64_t>(samples_.size()); }

 private:
  class Runner;
  [[nodiscard]] Status read(Runner& runner);

  const SampleSource& source_;
  const Graph& graph_;
  std::int64_t sample_limit_;
  std::size_t byte_limit_;
  bool complete_ = false;  ///< all samples are kept
  std::vector<std::vector<Tensor>> samples_;
};

}  // namespace octet
