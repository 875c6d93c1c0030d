#include "engine/integer/wide_placement.h"

#include <algorithm>
#include <array>

#include "arithmetic/litert_wide.h"
#include "arithmetic/quantize.h"
#include "engine/float/float_op.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/placement_rules.h"
#include "engine/integer/wide_values.h"

namespace octet {
namespace {

/// LiteRT runs these on 16-bit codes.
constexpr auto moves = std::to_array<std::string_view>(
    {"Reshape",   "Flatten",       "Squeeze",   "Unsqueeze", "Transpose", "Identity",
     "Dropout",   "Slice",         "Pad",       "Expand",    "Tile",      "Gather",
     "GatherND",  "Concat",        "Split",     "Max",       "Min",       "MaxPool",
     "ReduceMax", "GlobalMaxPool", "ReduceMin", "Resize"});

class WideRules {
 public:
  WideRules(const QuantizedGraph& model, NodeId id)
      : model_(model), graph_(model.graph), id_(id), node_(graph_.node(id)) {}

  [[nodiscard]] std::optional<WideKind> kind() const {
    if (!is_litert(model_.plan.rule) || !node_.domain.empty() || node_.inputs.empty()) {
      return std::nullopt;
    }
    const auto kind = by_name();
    if (!kind || !reads_words(*kind)) return std::nullopt;
    return fits(*kind) ? kind : std::nullopt;
  }

  [[nodiscard]] bool gives_words(WideKind kind) const {
    // An activation that is fused decides.
    if (kind == WideKind::binary || kind == WideKind::average) return true;
    if (node_.is("Identity")) return converts_wide(input(0), model_.plan.find(node_.output()));
    return std::all_of(node_.outputs.begin(), node_.outputs.end(), [&](ValueId output) {
      return output == ValueId::none || is_wide(model_.plan.find(output));
    });
  }

 private:
  [[nodiscard]] const Quantization* input(std::size_t i) const {
    return model_.plan.find(graph_, {id_, static_cast<int>(i)});
  }

  [[nodiscard]] std::optional<WideKind> by_name() const {
    if (node_.is("Add") || node_.is("Sub") || node_.is("Mul")) return WideKind::binary;
    if (node_.is("AveragePool")) return WideKind::average;
    if (node_.is("GlobalAveragePool") || node_.is("ReduceMean")) return WideKind::mean;
    if (activation_bounds(graph_, node_)) return WideKind::rescale;
    if (node_.is("LeakyRelu")) return WideKind::leaky_relu;
    if (node_.is("Sigmoid") || node_.is("Tanh")) return WideKind::sigmoid;
    if (node_.is("Exp") || node_.is("Gelu")) return WideKind::table;
    if (node_.is("Softmax")) return WideKind::softmax;
    if (is_litert_resample(graph_, node_)) return WideKind::resample;
    const bool moved = std::find(moves.begin(), moves.end(), node_.op) != moves.end();
    return moved && float_op_supported(node_) ? std::optional(WideKind::move) : std::nullopt;
  }

  [[nodiscard]] bool reads_words(WideKind kind) const {
    const std::size_t count = wide_inputs(node_);
    bool computed = kind != WideKind::move && kind != WideKind::binary;
    for (std::size_t i = 0; i < count; ++i) {
      const bool converts = node_.is("Identity") && is_coded(input(i));
      if (!is_wide(input(i)) && !converts) return false;
      computed = computed || graph_.constant(node_.input(i)) == nullptr;
    }
    return computed;
  }

  [[nodiscard]] bool fits(WideKind kind) const {
    const auto& shape = graph_.value(node_.input(0)).shape;
    const int rank = shape ? static_cast<int>(shape->size()) : -1;
    const auto* output = model_.plan.find(node_.output());
    const bool unit = output != nullptr && output->params.count() == 1 &&
                      output->params.scale[0] == litert::wide_unit;
    switch (kind) {
      case WideKind::average: return rank == 4 && plain_windows();
      case WideKind::mean: return constant_axes(graph_, node_, rank).has_value();
      case WideKind::sigmoid: return unit;
      case WideKind::softmax: return unit && rank > 0;
      case WideKind::move: return moves_alone(output);
      case WideKind::binary:
      case WideKind::rescale:
      case WideKind::leaky_relu:
      case WideKind::table:
      case WideKind::resample: break;
    }
    return true;
  }

  [[nodiscard]] bool plain_windows() const {
    const auto dilations = node_.ints_attribute("dilations");
    return node_.outputs.size() == 1 && node_.int_attribute("count_include_pad", 0) == 0 &&
           std::all_of(dilations.begin(), dilations.end(), [](auto d) { return d == 1; });
  }

  [[nodiscard]] bool moves_alone(const Quantization* output) const {
    if (node_.outputs.size() != 1 && !node_.is("Split")) return false;
    if (node_.is("Resize")) return node_.string_attribute("mode", "nearest") == "nearest";
    if (!node_.is("Pad") || node_.input(2) == ValueId::none) return true;
    // What pads must have a code.
    const Tensor* fill = graph_.constant(node_.input(2));
    if (fill == nullptr || fill->dtype() != DType::f32 || fill->size() != 1 || !is_wide(output)) {
      return false;
    }
    const float value = fill->data<float>()[0];
    const float scale = output->params.scale[0];
    return dequantize_value(quantize_narrow(value, scale, 0, INT16_MIN, INT16_MAX), scale, 0) ==
           value;
  }

  const QuantizedGraph& model_;
  const Graph& graph_;
  NodeId id_;
  const Node& node_;
};

}  // namespace

std::size_t wide_inputs(const Node& node) {
  if (node.is("Concat") || node.is("Max") || node.is("Min")) return node.inputs.size();
  return node.is("Add") || node.is("Sub") || node.is("Mul") ? 2 : 1;
}

std::optional<WideKind> wide_kind(const QuantizedGraph& model, NodeId node) {
  return WideRules(model, node).kind();
}

bool is_wide_node(const QuantizedGraph& model, NodeId node) {
  const WideRules rules(model, node);
  const auto kind = rules.kind();
  return kind && rules.gives_words(*kind);
}

}  // namespace octet
