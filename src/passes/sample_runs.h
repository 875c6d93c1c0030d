#pragma once
// Running trial models on a few samples that are held in memory.

#include <functional>
#include <vector>

#include "calibration/channel_profile.h"
#include "graph/plan.h"

namespace octet {

using Samples = std::vector<std::vector<Tensor>>;  ///< the graph's inputs, by sample

/// At most `limit` samples, in the order of the selection.
[[nodiscard]] Result<Samples> read_samples(const SampleSource& source, const Graph& graph,
                                           std::int64_t limit);

/// Runs `program` on all samples, one session for each worker. `taps` gives what a worker's session
/// taps, or is empty; `done` gets a sample's outputs, from any worker, and may be empty.
[[nodiscard]] Status run_samples(
    const Program& program, const Samples& samples,
    const std::function<const TapRequest*(int worker)>& taps,
    const std::function<void(std::size_t sample, const std::vector<Tensor>& outputs)>& done);

/// Whether errors, by sample, fell by more than chance: their sum by 5 %, and a sample's error on
/// average by more than 3 standard errors of that average (a paired test: samples differ more from
/// each other than models do).
[[nodiscard]] bool fell_surely(const std::vector<double>& before, const std::vector<double>& after);

/// How far the outputs of quantized models are from those of a float model.
class OutputDistance {
 public:
  /// Runs the float model on the samples, which must outlive this. A Softmax that makes an output
  /// is left out: what it reads tells more.
  [[nodiscard]] static Result<OutputDistance> against(const Graph& original,
                                                      const Samples& samples);

  /// sum (m - r)^2 / sum r^2 over all elements of all outputs and samples; r: the float model.
  [[nodiscard]] Result<double> of(QuantizedGraph model) const;
  /// What each sample adds to that.
  [[nodiscard]] Result<std::vector<double>> by_sample(QuantizedGraph model) const;

 private:
  explicit OutputDistance(const Samples& samples) : samples_(samples) {}

  const Samples& samples_;
  std::vector<std::vector<Tensor>> reference_;  ///< by sample
};

}  // namespace octet
