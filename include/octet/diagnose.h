#pragma once
// Why a quantized model is worse than the float one it was made from, and what to do about it.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

struct DiagnoseRequest {
  std::string model;      ///< float
  std::string quantized;  ///< made from it
  DataSource data;
  std::int64_t samples = 64;  ///< at most, spread evenly over the data
  Progress progress;
};

/// Distance of a model's outputs from the float model's, on the samples of the diagnosis.
struct OutputDistanceSummary {
  std::optional<double> kl;         ///< of class probabilities, nats
  std::optional<double> agreement;  ///< 0..1
  double sqnr_db = 0;               ///< of all outputs
};

/// One integer layer. Powers are relative to that of the float values: 10^(-SQNR / 10).
struct LayerDiagnosis {
  std::string name;  ///< of the node, as --keep-float takes it
  std::string op;
  std::string value;         ///< what it makes
  double sqnr_db = 0;        ///< of that, all layers before included
  double alone_error = 0;    ///< at the outputs, when it alone is quantized: KL or noise
  double float_gain = 0;     ///< what leaving it alone float takes off the error at the outputs
  double clipping = 0;       ///< of the value: beyond its range
  double rounding = 0;       ///< of the value: inside its range
  double mean_shift = 0;     ///< part of the noise that is the mean error of channels
  double outside = 0;        ///< share of the float values beyond the range
  double channel_ratio = 1;  ///< largest range of a channel over the median one
};

/// What to do, and what that gives.
struct Advice {
  std::vector<std::string> options;  ///< of `octet quantize`, beside those that made the model
  std::string command;  ///< to type; what cannot be known stands in <>; "": no option helps
  /// Measured by quantizing anew (Diagnosis::advice_samples), else simulated; none where it is not
  /// known to help.
  std::optional<OutputDistanceSummary> expected;
};

struct Cause {
  /// recipe, calibration_set, clipped_observer, bias_overflow, accumulator_overflow, weight_bits,
  /// channel_range
  std::string cause;
  std::string layer;  ///< node or value at fault, "" for the whole model
  std::string text;
  std::vector<std::string> evidence;
  Advice advice;
  /// Of a recipe: accuracy of the float model with the right one less that with this one.
  std::optional<double> float_top1_gain;
};

struct Diagnosis {
  std::int64_t samples = 0;
  std::string measure;  ///< of errors at the outputs: "kl" or "noise"
  /// Samples on which the model, and those that advice makes, were run: the model was quantized
  /// anew by others of the data. 0: simulated.
  std::int64_t advice_samples = 0;
  OutputDistanceSummary quantized;     ///< on advice_samples where there are any, else simulated
  std::vector<Cause> causes;           ///< the first cause first; empty: none was found
  std::vector<Cause> improvements;     ///< what else would take most off the error, no fault at all
  std::vector<LayerDiagnosis> layers;  ///< by effect on the outputs, worst first
  std::vector<std::string> notes;
};

/// Simulates the quantized model and trials of it: each layer quantized alone and left float alone,
/// and the remedy of each suspicion. Advice on a model that octet quantized from this float one is
/// carried out; what is no better by more than chance is not given (docs/algorithms.md).
[[nodiscard]] Result<Diagnosis> diagnose(const DiagnoseRequest& request);

}  // namespace octet
