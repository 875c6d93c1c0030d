#pragma once
// Accuracy of one model, and of two side by side.

#include <cstdint>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

/// Which engine runs a model: "" picks float for a float model and integer for a quantized one;
/// "float" runs a quantized model as its Q/DQ nodes say, in f32; "simulate"; "integer".
using EngineName = std::string;

struct EvaluateRequest {
  std::string model;
  DataSource data;
  EngineName engine;
  Progress progress;
};

struct Evaluation {
  double top1 = 0;  ///< 0..1
  double top5 = 0;
  double loss = 0;  ///< mean cross-entropy, natural logarithm
  std::int64_t count = 0;
  std::int64_t skipped = 0;
  std::string engine;
  double seconds = 0;
  /// Layers whose worst-case accumulator keeps the simulation from being proven exact.
  std::vector<std::string> inexact_layers;
};

/// Needs labels.
[[nodiscard]] Result<Evaluation> evaluate(const EvaluateRequest& request);

struct CompareRequest {
  std::string first;
  std::string second;
  DataSource data;
  EngineName first_engine;
  EngineName second_engine;
  bool measure_speed = true;
  Progress progress;
};

struct ComparedModel {
  double top1 = -1;  ///< -1 when the data has no labels
  double top5 = -1;
  std::uint64_t bytes = 0;
  double median_ms = 0;  ///< batch 1, thread_count() threads
  std::string engine;
};

struct LayerError {
  std::string name;  ///< of the value
  std::string op;    ///< that made it
  double sqnr_db = 0;
};

struct Comparison {
  ComparedModel first;
  ComparedModel second;
  double agreement = 0;  ///< share of samples with the same top-1
  double kl = 0;         ///< mean KL(first || second) of the class probabilities, in nats
  std::int64_t count = 0;
  std::int64_t skipped = 0;
  std::int64_t differing_values = -1;  ///< of codes, when both are quantized; -1 otherwise
  std::int64_t compared_values = 0;
  std::vector<LayerError> layers;  ///< worst first
};

/// Same top-1 counts by the arg max of the first output; KL takes outputs as probabilities when
/// they are non-negative and sum to 1, else as logits.
[[nodiscard]] Result<Comparison> compare(const CompareRequest& request);

}  // namespace octet
