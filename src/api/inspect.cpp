#include "octet/inspect.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "api/engine_choice.h"
#include "api/provenance.h"
#include "api/quantize_options.h"
#include "engine/integer/placement.h"
#include "graph/dump.h"
#include "graph/op_schema.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

std::vector<Port> ports(const QuantizedGraph& model, const std::vector<ValueId>& ids) {
  std::vector<Port> out;
  for (const auto id : ids) {
    const auto& value = model.graph.value(id);
    const auto coded = model.plan.coded_io.find(id);
    const auto dtype = coded == model.plan.coded_io.end() ? value.dtype : coded->second;
    out.push_back({value.name, std::string(name(dtype)),
                   value.shape ? to_string(*value.shape) : std::string("[...]")});
  }
  return out;
}

std::vector<OpCount> count_ops(const Graph& graph) {
  std::map<std::string, OpCount> counts;
  std::vector<bool> counted(graph.value_slots(), false);
  for (std::size_t i = 0; i < graph.node_slots(); ++i) {
    const auto& node = graph.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    const auto op = node.domain.empty() ? node.op : node.domain + "::" + node.op;
    auto& entry = counts[op];
    entry.op = op;
    ++entry.count;
    entry.macs += node_macs(graph, node);
    for (const auto input : node.inputs) {
      const auto* constant = graph.constant(input);
      if (constant == nullptr || counted[index(input)]) continue;
      counted[index(input)] = true;
      if (is_float(constant->dtype())) entry.parameters += constant->size();
    }
  }
  std::vector<OpCount> ops;
  for (auto& [op, entry] : counts) ops.push_back(std::move(entry));
  std::stable_sort(ops.begin(), ops.end(), [](const OpCount& a, const OpCount& b) {
    return a.macs != b.macs ? a.macs > b.macs : a.count > b.count;
  });
  return ops;
}

QuantizedValue describe(const std::string& value, const Quantization& q) {
  QuantizedValue out{value,
                     to_string(q.scheme),
                     std::string(name(q.storage)),
                     std::string(name(q.origin)),
                     q.params.count(),
                     0,
                     0,
                     0};
  if (q.params.scale.empty()) return out;
  const auto [low, high] = std::minmax_element(q.params.scale.begin(), q.params.scale.end());
  out.scale = *low;
  out.scale_max = *high;
  out.zero_point = q.params.zero_point.front();
  return out;
}

/// The input of that use, with the node where the quantization holds for that node alone.
std::string used_value(const Graph& graph, const Use& use) {
  const auto& node = graph.node(use.node);
  const auto id = node.input(static_cast<std::size_t>(use.input));
  return fmt::format("{} in {}", id == ValueId::none ? "" : graph.value(id).name, node.name);
}

std::vector<QuantizedValue> quantized_values(const QuantizedGraph& model) {
  std::vector<QuantizedValue> out;
  for (const auto& [id, q] : model.plan.values) {
    out.push_back(describe(model.graph.value(id).name, q));
  }
  for (const auto& [use, q] : model.plan.overrides) {
    out.push_back(describe(used_value(model.graph, use), q));
  }
  // Constants in half precision are weights that a Cast makes f32 again.
  for (std::size_t i = 0; i < model.graph.value_slots(); ++i) {
    const auto& value = model.graph.value(static_cast<ValueId>(i));
    const bool half = value.constant && (value.constant->dtype() == DType::f16 ||
                                         value.constant->dtype() == DType::bf16);
    if (!half) continue;
    const std::string type(name(value.constant->dtype()));
    out.push_back({value.name, type, type, "float", 0, 0, 0, 0});
  }
  return out;
}

/// Which nodes of a quantized model run in integers, as its engine sees it.
Status describe_engine(const QuantizedGraph& model, Inspection& out) {
  OCTET_ASSIGN(const auto placements, place_nodes(model));
  std::int64_t total = 0;
  std::int64_t integer = 0;
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    const auto& node = model.graph.node(static_cast<NodeId>(i));
    if (!node.alive) continue;
    const auto macs = node_macs(model.graph, node);
    total += macs;
    if (placements[i].role != Role::floating) {
      integer += macs;
      continue;
    }
    const auto& reason = placements[i].reason;
    out.float_nodes.push_back(
        {node.name, node.op, reason.empty() ? "none of its values is quantized" : reason});
  }
  out.integer_mac_share =
      total == 0 ? 0 : static_cast<double>(integer) / static_cast<double>(total);
  return {};
}

}  // namespace

Result<Inspection> inspect(const std::string& path, const std::string& named_target) {
  const auto target = named_target.empty() ? default_target(path) : named_target;
  if (find_target(target) == nullptr) {
    return fail(ErrorKind::usage, "no target '{}'; there are {}", target,
                fmt::join(target_names(), ", "));
  }
  OCTET_ASSIGN(const auto file, open_model(path));
  const auto& graph = file.model.graph;
  Inspection out;
  out.format = file.format;
  out.bytes = file.bytes;
  out.inputs = ports(file.model, graph.inputs);
  out.outputs = ports(file.model, graph.outputs);
  out.ops = count_ops(graph);
  for (const auto& op : out.ops) {
    out.macs += op.macs;
    out.parameters += op.parameters;
  }
  out.provenance = read_provenance(graph);
  out.quantized = is_quantized(file);
  out.quantized_values = quantized_values(file.model);
  if (out.quantized) {
    OCTET_TRY(describe_engine(file.model, out));
    return out;
  }
  QuantizeOptions options;
  options.target = target;
  auto simplified = graph;
  QuantizeReport report;
  auto status = simplify(simplified);
  if (status) status = fit_target(simplified, options);
  if (status) status = report_placement(simplified, options, report);
  if (!status) {
    out.obstacle = status.error().message;
    return out;
  }
  for (const auto& node : report.float_nodes) {
    out.float_nodes.push_back({node.name, node.op, node.reason});
  }
  out.integer_mac_share = report.integer_mac_share;
  return out;
}

Result<std::string> dump(const std::string& path) {
  OCTET_ASSIGN(const auto file, open_model(path));
  return dump(file.model);
}

}  // namespace octet
