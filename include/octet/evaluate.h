#pragma once
// Accuracy of one model, and of two side by side.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

/// Which engine runs a model: "" picks float for a float model and integer for a quantized one;
/// "float" runs a quantized model as its Q/DQ nodes say, in f32; "simulate"; "integer".
using EngineName = std::string;

/// Arithmetic by which a quantized model is computed: onnx, openvino, xnnpack or tflite; "": the
/// one that the model states.
using RuleName = std::string;

struct EvaluateRequest {
  std::string model;
  DataSource data;
  EngineName engine;
  RuleName rule;
  /// top1, top5, agreement, kl, sqnr, mse, cosine or auc (docs/cli.md defines them); "" for top-1,
  /// top-5 and loss.
  std::string metric;
  std::string reference;  ///< model that agreement, kl, sqnr, mse and cosine compare with
  EngineName reference_engine;
  Progress progress;
};

/// An output of a model against that of another; what cannot be compared has no numbers.
struct OutputError {
  std::string name;
  std::optional<double> sqnr_db;
  std::optional<double> mse;
  std::optional<double> cosine;
};

struct Evaluation {
  std::string metric;           ///< as requested
  std::optional<double> value;  ///< of that metric
  std::optional<double> top1;   ///< 0..1; top1, top5 and loss need labels and class scores
  std::optional<double> top5;
  std::optional<double> loss;        ///< mean cross-entropy, natural logarithm
  std::vector<OutputError> outputs;  ///< against the reference, when there is one
  std::int64_t count = 0;
  std::int64_t skipped = 0;
  std::string engine;
  double seconds = 0;
  /// Layers whose worst-case accumulator keeps the simulation from being proven exact.
  std::vector<std::string> inexact_layers;
};

/// Needs labels without a metric, and for top1, top5 and auc.
[[nodiscard]] Result<Evaluation> evaluate(const EvaluateRequest& request);

struct CompareRequest {
  std::string first;
  std::string second;
  DataSource data;
  EngineName first_engine;
  EngineName second_engine;
  RuleName first_rule;
  RuleName rule;       ///< of the second model
  std::string metric;  ///< as in EvaluateRequest; first against second
  /// "propagated": both models run on their own, so that errors add up on the way. "alike": beside
  /// that each layer of the second model, which must be quantized, is fed what the first model has
  /// at the layer's inputs. "none".
  std::string layers = "propagated";
  bool measure_speed = true;
  Progress progress;
};

struct ComparedModel {
  double top1 = -1;  ///< -1 when the data has no labels, or the outputs are no class scores
  double top5 = -1;
  std::optional<double> value;  ///< of the requested metric, when it judges a model by labels
  std::uint64_t bytes = 0;
  double median_ms = 0;  ///< batch 1, thread_count() threads
  std::string engine;
};

struct LayerError {
  std::string name;    ///< of the value
  std::string op;      ///< that made it
  double sqnr_db = 0;  ///< NaN where the second model's engine does not make the value
  std::optional<double> sqnr_alike_db;  ///< when asked for, and the layer can run on its own
};

struct Comparison {
  ComparedModel first;
  ComparedModel second;
  std::string metric;           ///< as requested
  std::optional<double> value;  ///< of that metric: of the pair, or of the second model
  /// Share of samples (positions of a sequence or a map) with the same largest score in the first
  /// output, or the same class; none when it holds neither.
  std::optional<double> agreement;
  std::optional<double> kl;          ///< mean KL(first || second) of the class probabilities, nats
  std::vector<OutputError> outputs;  ///< second against first
  OutputError all_outputs;           ///< over all of them together
  std::int64_t count = 0;
  std::int64_t skipped = 0;
  std::int64_t differing_values = -1;  ///< of codes, when both are quantized; -1 otherwise
  std::int64_t compared_values = 0;
  std::vector<LayerError> layers;  ///< worst first, by the mode that was asked for
};

/// KL takes scores as probabilities when they are non-negative and sum to 1, else as logits. Needs
/// no labels, except for the metrics top1, top5 and auc.
[[nodiscard]] Result<Comparison> compare(const CompareRequest& request);

}  // namespace octet
