#pragma once
// Advice, carried out: the float model quantized anew with its options, and judged beside the
// model as it is.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "api/paired_judge.h"
#include "api/shared_calibration.h"
#include "octet/diagnose.h"
#include "octet/quantize.h"
#include "tuning/verdict.h"

namespace octet {

/// A model's outputs beside the float model's.
struct AdviceOutcome {
  OutputDistanceSummary distance;
  std::vector<PairedSample> samples;
};

/// What `after` takes off the error of `before` on the same samples, as a 95 % interval of the mean
/// difference: KL in nats, or noise over signal where outputs are no class scores.
[[nodiscard]] Interval gain_interval(const AdviceOutcome& before, const AdviceOutcome& after);

/// Both halves of a data set: samples to quantize by, at even distances, and others to judge by.
struct HeldBack {
  std::vector<std::int64_t> calibration;
  std::vector<std::int64_t> judged;
};
/// At most half of the selection for calibration, at most `calibration` samples of it; at most
/// `judged` of the others.
[[nodiscard]] HeldBack hold_back(const std::vector<std::int64_t>& selection,
                                 std::int64_t calibration, std::int64_t judged);

/// Quantizes by samples of the diagnosis's data that it does not judge by.
class AdviceTrials {
 public:
  /// Why advice on this model cannot be carried out, "" where it can: octet must have quantized it
  /// from that float model, without training.
  [[nodiscard]] static std::string obstacle(const ModelFile& original, const ModelFile& quantized);

  [[nodiscard]] static Result<std::unique_ptr<AdviceTrials>> make(const DiagnoseRequest& request,
                                                                  const ModelFile& quantized);

  [[nodiscard]] std::int64_t samples() const { return judge_->count(); }
  /// The model as it is.
  [[nodiscard]] const AdviceOutcome& now() const { return now_; }
  /// With `options` beside those that made it; none: made anew.
  [[nodiscard]] Result<AdviceOutcome> run(const std::vector<std::string>& options);

 private:
  AdviceTrials(QuantizeRequest request, OpenData calibration)
      : request_(std::move(request)), calibration_(std::move(calibration)) {}
  [[nodiscard]] Result<AdviceOutcome> judge(ModelFile file);

  QuantizeRequest request_;
  SharedCalibration calibration_;
  std::unique_ptr<PairedJudge> judge_;
  AdviceOutcome now_;
  std::map<std::vector<std::string>, AdviceOutcome> known_;
};

}  // namespace octet
