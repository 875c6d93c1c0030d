#include "api/trial_requests.h"

#include <algorithm>

#include "api/commands.h"
#include "api/quantize_options.h"
#include "passes/target.h"

namespace octet {
namespace {

/// Samples that are trained on at most, and passes over samples that fine-tuning takes.
constexpr std::int64_t training_samples = 4096;
constexpr std::int64_t training_passes = 8192;
constexpr std::int64_t least_epochs = 2;
constexpr std::int64_t most_epochs = 30;
constexpr std::int64_t training_batch = 32;

/// Options of quantize that train does not have.
bool can_train(const QuantizeRequest& r) {
  return r.weights == "int8" && !r.reduce_range && r.input_layout.empty() && r.rule.empty() &&
         r.wide.empty() && r.skip.empty() && r.weight_observer == "minmax" && !r.requantize &&
         !r.refine_bias && !r.equalize && !r.absorb_bias && !r.bias_correction &&
         !r.learn_rounding && r.rounding_scope.empty();
}

}  // namespace

Result<SearchSpace> search_space(const TuneRequest& request) {
  const auto& r = request.quantization;
  SearchSpace space;
  space.observers = {"mse", "percentile", "minmax", "entropy"};
  if (!r.observer.empty()) space.observers = {r.observer};
  space.levels = {"none", "fast", "best"};
  if (!r.optimize.empty()) space.levels = {r.optimize};
  TrialPlan usual;
  usual.observer = space.observers.front();
  usual.optimize = space.levels.front();
  OCTET_ASSIGN(const auto options, parse_options(quantize_request(request, usual, r.output)));
  const auto* target = find_target(options.target);
  const bool whole_bits = options.weight_bits == 8;
  const bool usual_activations = r.activation_storage.empty() && r.activation_bits == 8;
  space.round_weights = whole_bits && r.narrow.empty() && !r.learn_rounding;
  space.wide_activations = usual_activations && r.io == "float" && !target->wide_ops.empty();
  space.wide_values = usual_activations && target->wide_values;
  space.narrow = whole_bits && r.weights == "int8" && !r.reduce_range;
  space.training = request.training && can_train(r);
  return space;
}

QuantizeRequest quantize_request(const TuneRequest& request, const TrialPlan& plan,
                                 const std::string& output) {
  auto r = request.quantization;
  r.output = output;
  r.method = "static";
  r.statistics.clear();
  r.data_free = false;
  r.dry_run = false;
  r.dump = {};
  r.progress = request.progress;
  r.observer = plan.observer;
  r.optimize = plan.optimize;
  if (plan.round_weights) r.learn_rounding = true;
  if (plan.wide_activations) r.activation_storage = "int16";
  for (const auto& node : plan.keep_float) r.keep_float.push_back(exact_glob(node));
  for (const auto& value : plan.wide) r.wide.push_back(exact_glob(value));
  for (const auto& node : plan.narrow) r.narrow.push_back(exact_glob(node));
  return r;
}

TrainRequest train_request(const TuneRequest& request, const TrialPlan& plan, std::int64_t samples,
                           const std::string& output) {
  TrainRequest r;
  r.quantization = quantize_request(request, plan, output);
  r.model = r.quantization->model;
  r.output = output;
  r.data = r.quantization->data;
  r.progress = request.progress;
  if (r.data.samples == 0 && samples > training_samples) r.data.samples = training_samples;
  const auto count = std::max<std::int64_t>(1, r.data.samples > 0 ? r.data.samples : samples);
  r.epochs = std::clamp((training_passes + count - 1) / count, least_epochs, most_epochs);
  r.batch = training_batch;
  r.distill = "self";
  return r;
}

std::string trial_command(const TuneRequest& request, const TrialPlan& plan, std::int64_t samples,
                          const std::string& output) {
  return plan.train ? train_command(train_request(request, plan, samples, output))
                    : quantize_command(quantize_request(request, plan, output));
}

}  // namespace octet
