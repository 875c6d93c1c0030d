#pragma once
// From one model format to the other.

#include <cstdint>
#include <string>
#include <vector>

#include "octet/result.h"

namespace octet {

struct ConvertRequest {
  std::string model;
  std::string output;        ///< its suffix picks the format
  std::string input_layout;  ///< nchw or nhwc: axes of image inputs; "": as they are
};

struct ConvertSummary {
  std::string output;
  std::string from;  ///< format: onnx, tflite
  std::string to;
  bool quantized = false;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  std::int64_t transposes = 0;  ///< nodes that move data in the written graph
  std::vector<std::string> notes;
  double seconds = 0;
};

/// Writes a float or quantized model in the format of the output's suffix. A float model is
/// simplified on the way to another format or layout (BatchNormalization folded, patterns of
/// exporters recognised); a quantized one keeps its numbers, and the rule by which it is computed.
/// What the format cannot state is an error that names the node or the tensor.
[[nodiscard]] Result<ConvertSummary> convert(const ConvertRequest& request);

}  // namespace octet
