#pragma once
// Judging many models against one float model on the same samples.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "analysis/output_comparison.h"
#include "api/compare_layers.h"
#include "api/engine_choice.h"
#include "octet/runtime.h"
#include "tuning/verdict.h"

namespace octet {

/// Runs the float model once; its outputs are kept (up to 256 MB, else they are computed again).
class PairedJudge {
 public:
  /// `metric`: "" for top1 where labels fit the outputs, else agreement.
  [[nodiscard]] static Result<std::unique_ptr<PairedJudge>> make(const std::string& model,
                                                                 const DataSource& validation,
                                                                 const std::string& metric,
                                                                 Progress progress);
  /// The same of samples that are open already, by a metric that is named.
  [[nodiscard]] static Result<std::unique_ptr<PairedJudge>> make(Side original, OpenData data,
                                                                 Metric metric,
                                                                 Undecodable undecodable,
                                                                 Progress progress);

  /// What the float model and `side` give for each sample, in the order of the selection. What is
  /// filled in beside noise and KL is what the metric needs.
  [[nodiscard]] Result<std::vector<PairedSample>> compare(const Side& side);
  [[nodiscard]] Result<Verdict> judge(const Side& side);

  [[nodiscard]] Metric metric() const { return metric_; }
  [[nodiscard]] double float_value() const { return float_value_; }
  [[nodiscard]] std::int64_t count() const { return count_; }
  /// Content hash of what the samples fed to the model, and of their labels.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
  [[nodiscard]] const Side& float_side() const { return side_; }

 private:
  using Outputs = std::vector<Tensor>;

  explicit PairedJudge(Side side) : side_(std::move(side)) {}
  [[nodiscard]] Status open(OpenData data, Undecodable undecodable, Progress progress);
  [[nodiscard]] Status choose_metric(const std::string& name);
  [[nodiscard]] Result<std::int64_t> count_classes() const;
  [[nodiscard]] Status judge_float();
  [[nodiscard]] Result<LoaderReport> sweep(const std::string& task,
                                           const BatchVisitor& visit) const;
  /// Outputs of the float model; `session` runs it where they are not kept.
  [[nodiscard]] Result<Outputs> expected(Session& session, const Batch& batch);
  /// Fills one PairedSample for each sample of the batch.
  [[nodiscard]] Status pair(const Batch& batch, const std::vector<OutputPair>& outputs,
                            const Outputs& reference, const Outputs& model,
                            std::vector<PairedSample>& samples) const;
  [[nodiscard]] Status pair_by_labels(const Batch& batch, const Tensor& reference,
                                      const Tensor& model, std::span<PairedSample> samples) const;

  Side side_;
  OpenData data_;
  LoaderOptions loader_;
  Metric metric_ = Metric::agreement;
  double float_value_ = 0;
  std::int64_t count_ = 0;
  std::string fingerprint_;
  std::mutex mutex_;
  std::map<std::int64_t, Outputs> kept_;  ///< by the first sample of the batch
  std::size_t kept_bytes_ = 0;
};

}  // namespace octet
