#pragma once
// Post-training quantization and its calibration.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "octet/data.h"
#include "octet/inspect.h"
#include "octet/result.h"
#include "octet/runtime.h"

namespace octet {

struct QuantizeRequest {
  std::string model;
  std::string output;
  DataSource data;         ///< samples 0 means the default, 512 or all
  std::string statistics;  ///< a file from calibrate(), instead of data
  /// static, dynamic or weight-only; "": weight-only for float16 weights, static where there are
  /// data or statistics, else dynamic.
  std::string method;
  std::string weights = "int8";  ///< or int4, or float16 (weight-only)
  std::string dynamic_form;      ///< integer (default) or qdq: how the file states the operators
  /// onnxruntime, openvino, tflite or tflite-micro; "": tflite for a .tflite output, else
  /// onnxruntime.
  std::string target;
  /// By which octet requantizes the model: onnx, openvino, xnnpack, tflite; "": the target's.
  std::string rule;
  std::string observer = "mse";
  std::string weight_observer = "minmax";  ///< or mse
  std::optional<bool> per_channel;         ///< of the weights; default: what the target takes
  bool reduce_range = false;               ///< 7-bit weights
  std::string optimize;                    ///< none, fast or best; "": fast (docs/algorithms.md)
  /// Measure what quantized layers do to means, and take that out of the biases, too.
  std::optional<bool> refine_bias;
  std::optional<bool> equalize;  ///< scale channels across layers; default: by optimize
  /// Move what is common to all values of a channel into the biases behind it; default: no.
  std::optional<bool> absorb_bias;
  std::optional<bool> bias_correction;  ///< take the mean error of the rounded weights out of the
                                        ///< bias; default: as optimize says
  std::optional<bool> learn_rounding;   ///< round weights by what layers give on samples;
                                        ///< default: with less than 8 bits
  /// layer or block: behind what that compares with the float model; "": layer.
  std::string rounding_scope;
  int weight_bits = 0;       ///< 2 to 8; 0: 8, or 4 with weights int4
  int edge_weight_bits = 0;  ///< of first and last layers; 0: 8
  int activation_bits = 8;
  /// int8, uint8 or int16 (symmetric, targets tflite and tflite-micro); "": what the target takes.
  std::string activation_storage;
  /// Type of a .tflite model's inputs and outputs: float, int8, uint8, or int16 with int16
  /// activations.
  std::string io = "float";
  std::string input_layout;  ///< nchw or nhwc: axes of image inputs; "": as they are
  bool requantize = false;   ///< dequantize a model that is quantized already first
  bool data_free = false;  ///< ranges from BatchNormalization statistics; needs the images' recipe
  std::vector<std::string> keep_float;  ///< globs over node names
  /// Values that get 16-bit codes among 8-bit ones: globs over their names and those of the nodes
  /// that make them (target onnxruntime).
  std::vector<std::string> wide;
  /// Layers whose weights get 4-bit codes, packed in the file, among 8-bit ones: globs over node
  /// names.
  std::vector<std::string> narrow;
  std::vector<std::string> skip;        ///< pass names
  std::vector<std::string> dump_after;  ///< pass names
  std::function<void(std::string_view pass, std::string_view text)> dump;
  bool dry_run = false;  ///< do everything but write
  Progress progress;
};

struct PassDuration {
  std::string name;
  double seconds = 0;
};

struct QuantizeSummary {
  std::string output;
  std::string method;  ///< static, dynamic or weight-only
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  double seconds = 0;
  std::int64_t samples = 0;
  std::int64_t skipped_samples = 0;
  double integer_mac_share = 0;
  std::vector<Obstacle> float_nodes;
  std::vector<std::string> notes;
  std::vector<PassDuration> passes;
  std::int64_t peak_rss_bytes = 0;
};

[[nodiscard]] Result<QuantizeSummary> quantize(const QuantizeRequest& request);

struct CalibrateRequest {
  std::string model;
  std::string output;
  DataSource data;
  std::string target;  ///< "": tflite for a .tflite model, else onnxruntime
  std::string observer = "mse";
  Progress progress;
};

struct CalibrateSummary {
  std::string output;
  std::int64_t samples = 0;
  std::int64_t skipped_samples = 0;
  std::size_t values = 0;
  double seconds = 0;
  std::int64_t peak_rss_bytes = 0;
};

[[nodiscard]] Result<CalibrateSummary> calibrate(const CalibrateRequest& request);

/// Merges statistics of disjoint shards; the result equals one run over all of them.
[[nodiscard]] Result<CalibrateSummary> merge_statistics(const std::vector<std::string>& inputs,
                                                        const std::string& output);

}  // namespace octet
