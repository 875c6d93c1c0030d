#include <algorithm>
#include <array>

#include "passes/integer_rules.h"
#include "passes/litert.h"
#include "passes/pattern.h"

namespace octet {
namespace {

bool has_bounds(const Graph& graph, const Node& node, float low, float high) {
  const auto bounds = activation_limits(graph, node);
  return bounds && bounds->low == low && bounds->high == high;
}

std::string reduction_reason(const Graph& graph, const Node& node) {
  const auto axes = simplification::reduced_axes(graph, node);
  if (!axes || axes->empty()) return "its axes are not known";
  const bool adjacent = axes->back() - axes->front() + 1 == static_cast<int>(axes->size());
  return adjacent ? "" : "its axes are not next to each other";
}

std::string softmax_reason(const Graph& graph, const Node& node) {
  const auto& shape = graph.value(node.input(0)).shape;
  if (!shape || shape->empty()) return "the rank of its input is not known";
  const auto last = static_cast<std::int64_t>(shape->size()) - 1;
  const auto axis = node.int_attribute("axis", -1);
  return axis == -1 || axis == last ? "" : "it does not run over the last axis";
}

/// One slope for all, or one for each channel of an image: what PRELU broadcasts alike in both
/// orders of axes.
std::string slope_reason(const Graph& graph, const Node& node) {
  const Tensor* slope = graph.constant(node.input(1));
  if (slope == nullptr || slope->dtype() != DType::f32) return "its slope is not constant";
  return slope->size() > 0 ? "" : "its slope is empty";
}

}  // namespace

std::string litert_reason(const Graph& graph, const Node& node) {
  if (node.is("ReduceMean") || node.is("ReduceSum") || node.is("ReduceMax")) {
    return reduction_reason(graph, node);
  }
  if (node.is("Softmax") || node.is("LogSoftmax")) return softmax_reason(graph, node);
  if (node.is("PRelu")) return slope_reason(graph, node);
  if (node.is("ConvTranspose") && node.int_attribute("group", 1) != 1) {
    return "TRANSPOSE_CONV has no groups";
  }
  if (node.is("MatMul") && graph.constant(node.input(1)) != nullptr) {
    return "FULLY_CONNECTED needs a matrix of weights and an input of known rank";
  }
  return "";
}

bool requantizes(const Graph& graph, const Node& node, const std::vector<Use>& readers_of_output) {
  if (!node.is("Identity") || readers_of_output.size() != 1) return false;
  const Node& reader = graph.node(readers_of_output[0].node);
  return (reader.is("Concat") || reader.is("Max") || reader.is("Min")) &&
         !graph.is_output(node.output());
}

bool is_litert_activation(const Graph& graph, const Node& node) {
  return node.is("Relu") || has_bounds(graph, node, 0, 6) || has_bounds(graph, node, -1, 1) ||
         has_bounds(graph, node, 0, 1);
}

bool litert_fuses(const Graph& graph, const Node& maker, const Node& activation) {
  constexpr std::array<std::string_view, 5> makers = {"Conv", "Gemm", "Add", "Sub", "Mul"};
  if (!maker.domain.empty()) return false;
  if (std::find(makers.begin(), makers.end(), maker.op) == makers.end()) return false;
  return activation.is("Relu") || has_bounds(graph, activation, 0, 6) ||
         has_bounds(graph, activation, -1, 1);
}

}  // namespace octet
