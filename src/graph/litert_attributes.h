#pragma once
// Attributes that nodes have for a .tflite file alone; an .onnx file does not get them.

#include <string_view>

#include "graph/plan.h"

namespace octet {

/// A FULLY_CONNECTED or BATCH_MATMUL that quantizes floats at run time makes codes with a zero
/// point.
inline constexpr std::string_view asymmetric_inputs_attribute = "asymmetric_quantize_inputs";
/// A node that computes in floats although all that it reads, and perhaps what it makes, has codes:
/// a DEQUANTIZE stands before it, and a QUANTIZE behind.
inline constexpr std::string_view kept_float_attribute = "kept_float";

[[nodiscard]] bool is_litert_attribute(std::string_view name);
[[nodiscard]] bool is_kept_float(const Node& node);
/// Keeps a node in floats if it computes floats from values that all have codes.
void keep_float(QuantizedGraph& model, NodeId id);

/// Whether a node only moves elements: its codes move like the reals they stand for.
[[nodiscard]] bool only_moves(const Node& node);

}  // namespace octet
