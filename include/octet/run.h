#pragma once
// Raw inference and its latency.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "octet/evaluate.h"
#include "octet/result.h"

namespace octet {

struct RunRequest {
  std::string model;
  std::vector<std::string> inputs;  ///< "X.npy", or "NAME=X.npy" for models of several inputs
  std::string output;               ///< .npy for one output, else a folder for NAME.npy each
  std::string taps;                 ///< folder for every quantized (or made) value, "" for none
  EngineName engine;
  RuleName rule;
};

struct RunSummary {
  std::vector<std::string> files;
  std::string engine;
};

/// Inputs and outputs that the model's file states as integers may be fed as such, or as floats;
/// the outputs come as the file states them.
[[nodiscard]] Result<RunSummary> run(const RunRequest& request);

struct BenchRequest {
  std::string model;
  EngineName engine;
  RuleName rule;
  int batch = 1;
  /// "[NAME=]1x3x224x224" where the model leaves an input's shape open; else 224 in maps, 128 in
  /// sequences.
  std::vector<std::string> shapes;
  double seconds = 2.0;
  bool layers = false;
};

struct LayerTime {
  std::string name;
  std::string op;
  std::string kernel;
  double ms = 0;
  std::int64_t macs = 0;
  std::int64_t bytes = 0;  ///< of inputs, weights and outputs, each once
  /// Rate of multiply-accumulates over what the kernel's multiply instruction reaches on this
  /// machine with registers alone; none where the layer multiplies nothing.
  std::optional<double> peak_share;
  std::string remark;  ///< where integers do not pay, and why
};

struct BenchSummary {
  double median_ms = 0;
  double p10_ms = 0;
  double p90_ms = 0;
  double first_ms = 0;
  std::int64_t runs = 0;
  int threads = 1;
  std::string engine;
  std::int64_t peak_rss_bytes = 0;
  std::vector<LayerTime> layers;
  std::int64_t macs = 0;  ///< of all layers, with --layers
};

/// Latency of one batch on random input from a fixed seed; integers that index a table are within
/// it.
[[nodiscard]] Result<BenchSummary> bench(const BenchRequest& request);

}  // namespace octet
