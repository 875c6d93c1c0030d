#include "api/advice_trials.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "api/provenance.h"
#include "api/quantize_command.h"
#include "api/quantizing.h"
#include "data/held_dataset.h"

namespace octet {
namespace {

/// Fewer samples may be what is wrong with a calibration.
constexpr std::int64_t least_calibration = 128;
constexpr std::int64_t most_judged = 256;
constexpr std::size_t held_sample_bytes = std::size_t{64} << 20;

std::vector<double> each(std::span<const PairedSample> samples,
                         const std::function<double(const PairedSample&)>& field) {
  std::vector<double> values;
  values.reserve(samples.size());
  for (const auto& sample : samples) values.push_back(field(sample));
  return values;
}

std::vector<double> differences(std::vector<double> a, const std::vector<double>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] -= b[i];
  return a;
}

bool has_scores(std::span<const PairedSample> samples) {
  return std::all_of(samples.begin(), samples.end(), [](const auto& s) { return s.kl; });
}

double noise(const PairedSample& sample) { return sample.noise; }
double signal(const PairedSample& sample) { return sample.signal; }
double kl(const PairedSample& sample) { return sample.kl.value_or(0); }

OutputDistanceSummary distance(std::span<const PairedSample> samples) {
  OutputDistanceSummary out;
  double of_noise = 0;
  double of_signal = 0;
  double of_kl = 0;
  double of_agreement = 0;
  for (const auto& sample : samples) {
    of_noise += sample.noise;
    of_signal += sample.signal;
    of_kl += kl(sample);
    of_agreement += sample.model;
  }
  out.sqnr_db = -10 * std::log10(of_noise / (of_signal > 0 ? of_signal : 1));
  if (!has_scores(samples)) return out;
  out.kl = of_kl / static_cast<double>(samples.size());
  out.agreement = of_agreement / static_cast<double>(samples.size());
  return out;
}

}  // namespace

Interval gain_interval(const AdviceOutcome& before, const AdviceOutcome& after) {
  if (has_scores(before.samples) && has_scores(after.samples)) {
    return mean_interval(differences(each(before.samples, kl), each(after.samples, kl)),
                         Adjustment::none);
  }
  return ratio_interval(differences(each(before.samples, noise), each(after.samples, noise)),
                        each(before.samples, signal));
}

HeldBack hold_back(const std::vector<std::int64_t>& selection, std::int64_t calibration,
                   std::int64_t judged) {
  const auto half = static_cast<std::int64_t>(selection.size() / 2);
  HeldBack out;
  out.calibration = spread_evenly(selection, std::min(half, calibration));
  std::vector<std::int64_t> others;
  std::set_difference(selection.begin(), selection.end(), out.calibration.begin(),
                      out.calibration.end(), std::back_inserter(others));
  out.judged = spread_evenly(others, judged);
  return out;
}

std::string AdviceTrials::obstacle(const ModelFile& original, const ModelFile& quantized) {
  const auto provenance = read_provenance(quantized.model.graph);
  const auto source = provenance.find("float_model");
  if (source == provenance.end()) return "it is not known how the model was quantized";
  if (source->second != original.hash) return "the model was quantized from another float model";
  if (provenance.contains("training")) return "the model was trained, which is not done again";
  const auto request = request_from_provenance(provenance);
  if (request.data_free || request.requantize) return "the model was quantized without samples";
  return "";
}

Result<std::unique_ptr<AdviceTrials>> AdviceTrials::make(const DiagnoseRequest& request,
                                                         const ModelFile& quantized) {
  const auto provenance = read_provenance(quantized.model.graph);
  auto anew = request_from_provenance(provenance);
  anew.model = request.model;
  anew.output = request.quantized;
  anew.data = request.data;
  anew.rule = name(quantized.model.plan.rule);
  anew.progress = request.progress;
  OCTET_ASSIGN(auto original, open_side(request.model, "", ""));
  const auto& graph = original.file.model.graph;
  OCTET_ASSIGN(auto calibration, open_data(request.data, graph, 0, &quantized.model.graph));
  OCTET_ASSIGN(auto judged, open_data(request.data, graph, 0, &quantized.model.graph));
  const auto known = number_from_provenance(provenance, "samples");
  const auto parts =
      hold_back(calibration.selection, std::max(known, least_calibration), most_judged);
  calibration.selection = parts.calibration;
  judged.selection = parts.judged;
  OCTET_ASSIGN(calibration.dataset, hold_samples(std::move(calibration.dataset),
                                                 calibration.selection, held_sample_bytes));
  const auto undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  auto out =
      std::unique_ptr<AdviceTrials>(new AdviceTrials(std::move(anew), std::move(calibration)));
  OCTET_ASSIGN(out->judge_, PairedJudge::make(std::move(original), std::move(judged),
                                              Metric::agreement, undecodable, request.progress));
  OCTET_ASSIGN(out->now_, out->judge(quantized));
  return out;
}

Result<AdviceOutcome> AdviceTrials::judge(ModelFile file) {
  Side side{std::move(file), {}};
  OCTET_ASSIGN(side.engine, choose_engine(side.file, ""));
  AdviceOutcome out;
  OCTET_ASSIGN(out.samples, judge_->compare(side));
  out.distance = distance(out.samples);
  return out;
}

Result<AdviceOutcome> AdviceTrials::run(const std::vector<std::string>& options) {
  if (const auto it = known_.find(options); it != known_.end()) return it->second;
  auto request = request_;
  apply_advice(options, request);
  OCTET_ASSIGN(auto made, quantize_in_memory(request, &calibration_));
  ModelFile file;
  file.model = std::move(made.model);
  OCTET_ASSIGN(auto outcome, judge(std::move(file)));
  known_[options] = outcome;
  return outcome;
}

}  // namespace octet
