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
  /// Rate of multiply-accumulates over that of a large matrix product of the same kind (f32, or
  /// integers) on this machine; none where the layer has none.
  std::optional<double> peak_share;
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
};

/// Latency of one batch on random input from a fixed seed; integers that index a table are within
/// it.
[[nodiscard]] Result<BenchSummary> bench(const BenchRequest& request);

}  // namespace octet
