#include "octet/inspect.h"

#include <algorithm>

#include "api/engine_choice.h"
#include "api/provenance.h"
#include "graph/dump.h"
#include "graph/op_schema.h"
#include "passes/pipeline.h"

namespace octet {
namespace {

std::vector<Port> ports(const Graph& graph, const std::vector<ValueId>& ids) {
  std::vector<Port> out;
  for (const auto id : ids) {
    const auto& value = graph.value(id);
    out.push_back({value.name, std::string(name(value.dtype)),
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

std::vector<QuantizedValue> quantized_values(const QuantizedGraph& model) {
  std::vector<QuantizedValue> out;
  for (const auto& [id, q] : model.plan.values) {
    const auto [low, high] = std::minmax_element(q.params.scale.begin(), q.params.scale.end());
    out.push_back({model.graph.value(id).name, to_string(q.scheme), std::string(name(q.storage)),
                   std::string(name(q.origin)), q.params.count(), *low, *high,
                   q.params.zero_point.front()});
  }
  return out;
}

/// Whether a node of a quantized model computes in integers: its data input and output have codes.
bool runs_in_integers(const QuantizedGraph& model, NodeId id) {
  const auto& node = model.graph.node(id);
  const auto* input = model.plan.find(model.graph, {id, 0});
  const auto* weights = model.plan.find(model.graph, {id, 1});
  return input != nullptr && weights != nullptr && node.output() != ValueId::none;
}

double quantized_mac_share(const QuantizedGraph& model) {
  std::int64_t total = 0;
  std::int64_t integer = 0;
  for (std::size_t i = 0; i < model.graph.node_slots(); ++i) {
    const auto id = static_cast<NodeId>(i);
    if (!model.graph.node(id).alive) continue;
    const auto macs = node_macs(model.graph, model.graph.node(id));
    total += macs;
    if (runs_in_integers(model, id)) integer += macs;
  }
  return total == 0 ? 0 : static_cast<double>(integer) / static_cast<double>(total);
}

}  // namespace

Result<Inspection> inspect(const std::string& path, const std::string& target) {
  OCTET_ASSIGN(const auto file, read_model(path));
  const auto& graph = file.model.graph;
  Inspection out;
  out.format = file.format;
  out.bytes = file.bytes;
  out.inputs = ports(graph, graph.inputs);
  out.outputs = ports(graph, graph.outputs);
  out.ops = count_ops(graph);
  for (const auto& op : out.ops) {
    out.macs += op.macs;
    out.parameters += op.parameters;
  }
  out.provenance = read_provenance(graph);
  out.quantized = is_quantized(file);
  if (out.quantized) {
    out.quantized_values = quantized_values(file.model);
    out.integer_mac_share = quantized_mac_share(file.model);
    return out;
  }
  QuantizeOptions options;
  options.target = target;
  auto simplified = graph;
  QuantizeReport report;
  if (auto status = simplify(simplified); !status) return out;
  if (auto status = report_placement(simplified, options, report); !status) return out;
  for (const auto& node : report.float_nodes) {
    out.float_nodes.push_back({node.name, node.op, node.reason});
  }
  out.integer_mac_share = report.integer_mac_share;
  return out;
}

Result<std::string> dump(const std::string& path) {
  OCTET_ASSIGN(const auto file, read_model(path));
  return dump(file.model);
}

}  // namespace octet
