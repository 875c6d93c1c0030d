#include "octet/train.h"

#include <nlohmann/json.hpp>

#include "api/calibration_data.h"
#include "api/clock.h"
#include "api/engine_choice.h"
#include "api/provenance.h"
#include "api/quantize_options.h"
#include "arithmetic/quantize.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "graph/image_layout.h"
#include "passes/simplify.h"
#include "passes/state_bits.h"
#include "training/batch_norm.h"
#include "training/trainer.h"

namespace octet {
namespace {

using Json = nlohmann::ordered_json;

template <class T>
Result<T> named(const std::optional<T>& value, std::string_view option, const std::string& text,
                std::string_view known) {
  if (value) return *value;
  return fail(ErrorKind::usage, "{} {}: there are {}", option, text, known);
}

/// With 4 bits and more statistics of micro-batches disturb more than normalization helps.
std::string batch_norm_of(const TrainRequest& r) {
  if (!r.batch_norm.empty()) return r.batch_norm;
  if (!r.quantization) return "trained";
  const auto& q = *r.quantization;
  // With 4 bits the noise of batch statistics costs more than they give (docs/training.md).
  const bool few_bits = (q.weight_bits != 0 && q.weight_bits < 4) || q.activation_bits < 4;
  return few_bits ? "trained" : "folded";
}

double rate_of(const TrainRequest& r) {
  // Without normalization a network diverges at rates that it otherwise learns best at.
  const bool folded = r.quantization && batch_norm_of(r) == "folded";
  return r.learning_rate.value_or(folded ? 0.001 : 0.01);
}

Status check_numbers(const TrainRequest& r) {
  const auto positive = [](std::int64_t number, std::string_view option) -> Status {
    if (number > 0) return {};
    return fail(ErrorKind::usage, "{} {}: must be at least 1", option, number);
  };
  OCTET_TRY(positive(r.epochs, "--epochs"));
  OCTET_TRY(positive(r.batch, "--batch"));
  OCTET_TRY(positive(r.micro_batch, "--micro-batch"));
  if (!(rate_of(r) > 0)) return fail(ErrorKind::usage, "--lr must be above 0");
  if (r.temperature <= 0) return fail(ErrorKind::usage, "--temperature must be above 0");
  if (r.label_smoothing < 0 || r.label_smoothing >= 1) {
    return fail(ErrorKind::usage, "--label-smoothing must be in [0, 1)");
  }
  if (r.data.skip_undecodable) {
    return fail(ErrorKind::usage, "--skip-undecodable: training leaves no sample out");
  }
  if (r.resume && r.checkpoint.empty())
    return fail(ErrorKind::usage, "--resume needs --checkpoint");
  if (r.patience > 0 && r.held_back == 0)
    return fail(ErrorKind::usage, "--patience needs --held-back");
  return {};
}

Result<TrainOptions> training_options(const TrainRequest& r) {
  OCTET_TRY(check_numbers(r));
  TrainOptions o;
  o.epochs = r.epochs;
  o.batch = r.batch;
  o.micro_batch = std::min(r.micro_batch, r.batch);
  OCTET_ASSIGN(o.optimizer.kind, named(optim::optimizer_from_name(r.optimizer), "--optimizer",
                                       r.optimizer, "sgd, adam, adamw"));
  o.optimizer.momentum = static_cast<float>(r.momentum);
  o.optimizer.nesterov = r.momentum > 0;
  OCTET_ASSIGN(o.schedule, named(optim::schedule_from_name(r.schedule), "--schedule", r.schedule,
                                 "constant, step, cosine, onecycle"));
  if (r.loss != "cross-entropy" && r.loss != "mse") {
    return fail(ErrorKind::usage, "--loss {}: there are cross-entropy, mse", r.loss);
  }
  if (batch_norm_of(r) != "trained" && batch_norm_of(r) != "folded") {
    return fail(ErrorKind::usage, "--batch-norm {}: there are trained, folded", r.batch_norm);
  }
  o.learning_rate = rate_of(r);
  o.warmup_epochs = r.warmup_epochs;
  o.weight_decay = static_cast<float>(r.weight_decay);
  o.clip_norm = r.clip_norm;
  o.loss.kind = r.loss == "mse" ? LossKind::mse : LossKind::cross_entropy;
  o.loss.label_smoothing = static_cast<float>(r.label_smoothing);
  o.loss.distillation = static_cast<float>(r.distill.empty() ? 0 : r.distill_weight);
  o.loss.temperature = static_cast<float>(r.temperature);
  o.augmentation = {r.crop_padding, r.flip, r.cutout, r.mixup};
  o.held_back = r.held_back;
  o.patience = r.patience;
  o.seed = r.data.seed;
  o.checkpoint = r.checkpoint;
  o.checkpoint_seconds = r.checkpoint_seconds;
  o.resume = r.resume;
  o.recompute = r.recompute;
  return o;
}

/// What decides the outcome, for provenance and for checkpoints.
Json options_json(const TrainRequest& r) {
  Json json = {{"epochs", r.epochs},
               {"batch", r.batch},
               {"micro_batch", r.micro_batch},
               {"optimizer", r.optimizer},
               {"lr", rate_of(r)},
               {"momentum", r.momentum},
               {"schedule", r.schedule},
               {"warmup_epochs", r.warmup_epochs},
               {"weight_decay", r.weight_decay},
               {"clip_norm", r.clip_norm},
               {"loss", r.loss},
               {"label_smoothing", r.label_smoothing},
               {"held_back", r.held_back},
               {"patience", r.patience},
               {"seed", r.data.seed},
               {"init", r.initialize},
               {"batch_norm", batch_norm_of(r)}};
  if (!r.distill.empty()) {
    json["distill"] = {{"weight", r.distill_weight}, {"temperature", r.temperature}};
  }
  json["augment"] = {
      {"crop_padding", r.crop_padding}, {"flip", r.flip}, {"cutout", r.cutout}, {"mixup", r.mixup}};
  if (!r.quantization) return json;
  const auto& q = *r.quantization;
  json["quantization"] = {{"target", q.target},
                          {"bits_weights", q.weight_bits},
                          {"bits_first_last", q.edge_weight_bits},
                          {"bits_activations", q.activation_bits},
                          {"observer", q.observer},
                          {"optimize", q.optimize},
                          {"scales", r.scales}};
  if (q.per_channel) json["quantization"]["per_channel"] = *q.per_channel;
  if (!q.narrow.empty()) json["quantization"]["int4"] = q.narrow;
  return json;
}

std::string fingerprint(const TrainRequest& request, const ModelFile& file, const OpenData& data) {
  const auto text = options_json(request).dump() + file.hash + request.distill +
                    data.dataset->name() + std::to_string(data.selection.size());
  return content_hash(std::as_bytes(std::span(text)));
}

/// The model as it is trained: with its plan where it is quantization-aware.
struct Trainee {
  QuantizedGraph model;
  FakeQuantGraph fake_quant;     ///< graph: what is trained, FakeQuant nodes or not
  QuantizeRequest quantization;  ///< read where there are options
  std::optional<QuantizeOptions> options;
  std::optional<Statistics> statistics;
  QuantizeReport report;
};

QuantizeRequest quantization_of(const TrainRequest& request) {
  QuantizeRequest quantization = *request.quantization;
  quantization.model = request.model;
  quantization.output = request.output;
  quantization.data = request.data;
  quantization.progress = request.progress;
  // Scales of few codes begin where the error is smallest.
  if (quantization.weight_bits != 0 && quantization.weight_bits < 8) {
    quantization.weight_observer = "mse";
  }
  quantization.method = "static";
  return quantization;
}

/// Weights begin as what their codes stand for, which learned rounding has chosen by the layers'
/// outputs.
Status begin_from_codes(QuantizedGraph& model) {
  for (const auto& [id, codes] : model.plan.payloads) {
    const auto& quantization = model.plan.values.at(id);
    if (quantization.scheme.bits > 8) continue;
    OCTET_ASSIGN(model.graph.value(id).constant, dequantize(codes, quantization.params));
  }
  return {};
}

Result<Trainee> quantized_trainee(const TrainRequest& request, Graph graph,
                                  const std::string& hash) {
  Trainee trainee;
  trainee.quantization = quantization_of(request);
  OCTET_ASSIGN(trainee.options, parse_options(trainee.quantization));
  RequestSources known(trainee.quantization, *trainee.options, hash);
  OCTET_ASSIGN(const auto sources, known.sources(graph));
  OCTET_ASSIGN(trainee.model,
               quantize_static(std::move(graph), *trainee.options, sources, trainee.report));
  trainee.statistics = known.statistics();
  OCTET_TRY(begin_from_codes(trainee.model));
  OCTET_ASSIGN(const auto method, named(scale_method_from_name(request.scales), "--scales",
                                        request.scales, "lsq, lsq+, pact, fixed"));
  OCTET_ASSIGN(trainee.fake_quant, insert_fake_quant(trainee.model, method));
  if (batch_norm_of(request) == "trained") insert_batch_norm(trainee.model, trainee.fake_quant);
  return trainee;
}

Result<Trainee> float_trainee(const TrainRequest& request, Graph graph) {
  Trainee trainee;
  // Gradients of what cuts and pads need to know where, which exporters leave to compute.
  OCTET_TRY(simplification::fold_constants(graph));
  if (batch_norm_of(request) == "folded") OCTET_TRY(simplify(graph));
  if (request.initialize) OCTET_TRY(initialize(graph, request.data.seed));
  trainee.model.graph = graph;
  trainee.fake_quant.graph = std::move(graph);
  return trainee;
}

/// The graph whose scores are distilled, nullopt for none.
Result<std::optional<Graph>> teacher_of(const TrainRequest& request, const Graph& own) {
  if (request.distill.empty()) return std::nullopt;
  if (request.distill == "self") return scoring_graph(own);
  OCTET_ASSIGN(auto file, open_model(request.distill));
  if (is_quantized(file)) {
    return bad_input("{} is quantized; distil from a float model", request.distill);
  }
  return scoring_graph(std::move(file.model.graph));
}

TrainedEpoch public_form(const EpochResult& e) {
  return {e.epoch,         e.loss,    e.accuracy,         e.held_back_accuracy,
          e.learning_rate, e.seconds, e.images_per_second};
}

Status write_history(const std::string& path, const std::vector<TrainedEpoch>& epochs) {
  if (path.empty()) return {};
  std::string text;
  for (const auto& epoch : epochs) text += history_line(epoch) + "\n";
  return write_file(path, std::string_view(text));
}

Status write_trained(const TrainRequest& request, const ModelFile& file, const OpenData& data,
                     Trainee& trainee) {
  auto& metadata = trainee.model.graph.metadata;
  if (data.recipe != Recipe{}) metadata[recipe_key] = to_json(data.recipe);
  if (trainee.options) {
    write_provenance(trainee.model,
                     {trainee.quantization, *trainee.options, file.hash, &*trainee.statistics});
  }
  metadata["octet.training"] = options_json(request).dump();
  metadata["octet.data"] = data.dataset->name();
  return write_model(trainee.model, request.output);
}

ImageLayout layout_of(const Graph& graph) {
  const bool last = image_axis_order(graph, graph.inputs.front()) == AxisOrder::channels_last;
  return last ? ImageLayout::nhwc : ImageLayout::nchw;
}

}  // namespace

std::string history_line(const TrainedEpoch& e) {
  Json json = {{"epoch", e.epoch}, {"loss", e.loss}, {"top1", e.top1}};
  if (e.held_back_top1) json["held_back_top1"] = *e.held_back_top1;
  json["lr"] = e.learning_rate;
  json["seconds"] = e.seconds;
  json["images_per_second"] = e.images_per_second;
  return json.dump();
}

Result<TrainSummary> train(const TrainRequest& request,
                           const std::function<void(const TrainedEpoch&)>& on_epoch) {
  const auto start = Clock::now();
  OCTET_ASSIGN(auto options, training_options(request));
  OCTET_TRY(check_model_suffix(request.output));
  OCTET_TRY(check_writable(request.output));
  for (const auto& path : {request.checkpoint, request.history}) {
    if (!path.empty()) OCTET_TRY(check_writable(path));
  }
  OCTET_ASSIGN(auto file, open_model(request.model));
  if (is_quantized(file)) {
    return bad_input("{} is quantized already; give the float model it was made from",
                     request.model);
  }
  OCTET_ASSIGN(const auto data, open_data(request.data, file.model.graph, 0));
  OCTET_ASSIGN(const auto teacher, teacher_of(request, file.model.graph));
  options.fingerprint = fingerprint(request, file, data);
  Graph graph = std::move(file.model.graph);
  const ImageLayout layout = layout_of(graph);
  OCTET_ASSIGN(auto trainee, request.quantization
                                 ? quantized_trainee(request, std::move(graph), file.hash)
                                 : float_trainee(request, std::move(graph)));
  OCTET_ASSIGN(const auto sample, sample_shapes(*data.dataset, data.selection.front()));
  OCTET_ASSIGN(const auto network, Network::make(trainee.model.graph, trainee.fake_quant, sample));

  TrainSummary summary;
  TrainingHooks hooks;
  hooks.progress = request.progress;
  hooks.on_epoch = [&](const EpochResult& epoch) {
    if (on_epoch) on_epoch(public_form(epoch));
  };
  OCTET_ASSIGN(
      const auto result,
      train(network, teacher ? &*teacher : nullptr,
            {*data.dataset, data.selection, layout, data.recipe.label_offset}, options, hooks));
  OCTET_TRY(adopt_parameters(trainee.model, trainee.fake_quant, result.parameters));
  state_bits(trainee.model);
  for (const auto& epoch : result.epochs) summary.epochs.push_back(public_form(epoch));
  OCTET_TRY(write_history(request.history, summary.epochs));
  OCTET_TRY(write_trained(request, file, data, trainee));
  summary.output = request.output;
  summary.samples = result.samples;
  summary.resumed_epochs = result.resumed_epochs;
  summary.notes = trainee.report.notes;
  std::error_code error;
  summary.output_bytes = std::filesystem::file_size(request.output, error);
  summary.peak_rss_bytes = peak_rss_bytes();
  summary.seconds = seconds_since(start);
  return summary;
}

}  // namespace octet
