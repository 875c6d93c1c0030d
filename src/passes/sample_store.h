#pragma once
// Calibration samples for passes that run over them again and again.

#include <vector>

#include "calibration/channel_profile.h"
#include "engine/program.h"

namespace octet {

/// Keeps decoded samples where all of them take no more than a limit of bytes; otherwise each sweep
/// reads them again, so that memory does not grow with their number.
class SampleStore {
 public:
  SampleStore(const SampleSource& source, const Graph& graph, std::int64_t sample_limit,
              std::size_t byte_limit)
      : source_(source), graph_(graph), sample_limit_(sample_limit), byte_limit_(byte_limit) {}

  /// Reads all samples once; how many there are. Fails where there are none.
  [[nodiscard]] Result<std::int64_t> read();
  [[nodiscard]] bool kept() const { return !samples_.empty(); }

  /// Gets tapped values of sample number `sample`, below the limit of samples; from several
  /// threads, but for one sample from one.
  using SampleTap = std::function<void(std::int64_t sample, const TapView& view)>;

  /// Runs a program on all samples that were read.
  [[nodiscard]] Status sweep(const Program& program, const std::vector<ValueId>& values,
                             const SampleTap& tap) const;

 private:
  const SampleSource& source_;
  const Graph& graph_;
  std::int64_t sample_limit_;
  std::size_t byte_limit_;
  std::vector<std::vector<Tensor>> samples_;  ///< by number; empty when they are not kept
};

}  // namespace octet
