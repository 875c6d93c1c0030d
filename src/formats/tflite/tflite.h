#pragma once
// TFLite: reader and writer over flatbuffers. docs/tflite.md says which words of the file become
// which of the graph. Wire types stay inside this folder.

#include <cstddef>
#include <span>
#include <string>

#include "graph/plan.h"

namespace octet::tflite {

/// Parses and checks a .tflite model. Its operators become canonical ONNX ones on channels-first
/// axes, its quantization the plan. Shapes of values between are left to shape inference. Errors
/// name the tensor or the operator at fault; an unknown operator, sparse weights and control flow
/// are refused by name.
[[nodiscard]] Result<QuantizedGraph> parse(std::span<const std::byte> bytes);

/// Encodes a float or quantized model. Fails beyond flatbuffers' 2 GB, and naming the node that
/// TFLite has no operator for.
[[nodiscard]] Result<std::string> serialize(const QuantizedGraph& model);

}  // namespace octet::tflite
