#include "passes/passes.h"

namespace octet::passes {

Status state_io(PassContext& context) {
  if (!context.options.io) return {};
  QuantPlan& plan = context.model.plan;
  const Graph& graph = context.model.graph;
  const auto state = [&](ValueId id, std::string_view what) {
    if (plan.find(id) != nullptr) {
      plan.coded_io[id] = *context.options.io;
    } else if (graph.value(id).dtype == DType::f32) {
      context.report.notes.push_back(fmt::format("{} {} stays float: no integer node {} it", what,
                                                 graph.value(id).name,
                                                 what == "input" ? "reads" : "makes"));
    }
  };
  for (const auto id : graph.inputs) state(id, "input");
  for (const auto id : graph.outputs) state(id, "output");
  return {};
}

}  // namespace octet::passes
