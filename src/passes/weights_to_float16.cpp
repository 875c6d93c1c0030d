#include <algorithm>
#include <cmath>
#include <map>

#include "engine/float/float_op.h"
#include "graph/onnx_dtype.h"
#include "passes/passes.h"

namespace octet::passes {
namespace {

constexpr float float16_maximum = 65504.0F;

/// `value` behind a Cast from float16.
Result<ValueId> behind_cast(Graph& graph, ValueId value) {
  const std::string name = graph.value(value).name;
  // Rounds as the Cast operator does: to the nearest, ties to even.
  Graph rounding;
  Node cast;
  cast.op = "Cast";
  cast.inputs = {rounding.add_constant("f32", *graph.constant(value))};
  Value half;
  half.dtype = DType::f16;
  half.shape = graph.constant(value)->shape();
  cast.outputs = {rounding.add_value(half)};
  cast.attributes["to"] = onnx_code(DType::f16);
  OCTET_ASSIGN(auto rounded, evaluate_constant_node(rounding, rounding.add_node(std::move(cast))));
  const auto stored = graph.add_constant(name + "_f16", std::move(rounded[0]));
  Value real;
  real.name = name + "_f32";
  real.dtype = DType::f32;
  real.shape = graph.value(stored).shape;
  const auto result = graph.add_value(std::move(real));
  Node widen;
  widen.op = "Cast";
  widen.name = name + "_cast";
  widen.inputs = {stored};
  widen.outputs = {result};
  widen.attributes["to"] = onnx_code(DType::f32);
  graph.add_node(std::move(widen));
  return result;
}

}  // namespace

Status weights_to_float16(PassContext& context) {
  Graph& graph = context.model.graph;
  std::map<ValueId, ValueId> cast;
  for (const auto& site : context.sites) {
    const auto slot = static_cast<std::size_t>(site.use.input);
    const auto value = graph.node(site.use.node).input(slot);
    if (!cast.contains(value)) {
      const auto values = graph.constant(value)->values<float>();
      const auto beyond = std::count_if(values.begin(), values.end(),
                                        [](float x) { return !(std::abs(x) <= float16_maximum); });
      if (beyond > 0) {
        context.report.notes.push_back(
            fmt::format("weight {} stays f32: {} of its values lie beyond {}, the largest float16",
                        graph.value(value).name, beyond, float16_maximum));
        cast[value] = value;
      } else {
        OCTET_ASSIGN(cast[value], behind_cast(graph, value));
      }
    }
    graph.node(site.use.node).inputs[slot] = cast[value];
  }
  for (const auto& [value, replaced] : cast) {
    if (replaced != value && !graph.is_output(value) && graph.uses()[index(value)].empty()) {
      graph.value(value).constant.reset();
    }
  }
  return {};
}

}  // namespace octet::passes
