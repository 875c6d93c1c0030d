#pragma once
// What two models give for the same samples, compared output by output.

#include <span>
#include <string>
#include <vector>

#include "analysis/accumulators.h"
#include "graph/graph.h"

namespace octet {

/// An output of each of two models that stand for the same thing; indices into Graph::outputs.
struct OutputPair {
  std::string name;  ///< in the first model
  std::size_t first = 0;
  std::size_t second = 0;
};

/// Outputs of equal name belong together; others by their position, where that is free.
[[nodiscard]] std::vector<OutputPair> pair_outputs(const Graph& first, const Graph& second);

/// Whether a batch of several samples can be told apart in the graph's outputs: each has the batch
/// as its first dimension, as far as the file says.
[[nodiscard]] bool outputs_follow_batch(const Graph& graph);

/// One sample's part of an output [N, ...]: rows [i * N / samples, (i + 1) * N / samples).
struct SampleOutput {
  Shape shape;  ///< [1, ...], with the rows as second dimension when there are several
  std::span<const float> values;
};
/// `output` must be f32 and its first dimension a multiple of `samples` (any for one sample).
[[nodiscard]] SampleOutput sample_output(const Tensor& output, std::int64_t samples,
                                         std::int64_t i);
[[nodiscard]] bool has_samples(const Tensor& output, std::int64_t samples);

/// Errors of the second model's outputs against the first's. Where a batch cannot be told apart
/// into its samples it counts as one sample. Outputs that are no numbers, or whose shapes differ,
/// cannot be compared.
class OutputComparison {
 public:
  struct Output {
    std::string name;
    bool comparable = true;
    ErrorSums errors;
  };

  explicit OutputComparison(const std::vector<OutputPair>& pairs);

  void add(std::span<const Tensor> first, std::span<const Tensor> second, std::int64_t samples);
  void merge(const OutputComparison& other);

  [[nodiscard]] const std::vector<Output>& outputs() const { return outputs_; }
  /// Over all comparable outputs together.
  [[nodiscard]] const ErrorSums& total() const { return total_; }
  [[nodiscard]] bool any_comparable() const;
  /// Of the first pair of outputs, when these are class scores (at least two to a position) or
  /// classes (integers); else nullptr.
  [[nodiscard]] const AgreementSums* agreement() const;
  /// Why agreement() is nullptr, or why outputs are not comparable; "" when all are.
  [[nodiscard]] const std::string& obstacle() const { return obstacle_; }

 private:
  void add_agreement(const Tensor& first, const Tensor& second, bool classes, std::int64_t units);

  std::vector<OutputPair> pairs_;
  std::vector<Output> outputs_;
  ErrorSums total_;
  AgreementSums agreement_;
  bool has_agreement_ = true;
  std::string obstacle_;
};

}  // namespace octet
