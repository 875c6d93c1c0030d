#include "arithmetic/requantize.h"

namespace octet {

std::string_view name(Rule rule) {
  switch (rule) {
    case Rule::onnx: return "onnx";
    case Rule::openvino: return "openvino";
    case Rule::xnnpack: return "xnnpack";
    case Rule::tflite: return "tflite";
  }
  return "onnx";
}

std::optional<Rule> rule_from_name(std::string_view text) {
  for (const auto rule : {Rule::onnx, Rule::openvino, Rule::xnnpack, Rule::tflite}) {
    if (name(rule) == text) return rule;
  }
  return std::nullopt;
}

}  // namespace octet
