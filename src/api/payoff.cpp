#include "octet/payoff.h"

#include <fmt/ranges.h>
#include <algorithm>

#include "api/engine_choice.h"
#include "api/layer_payoff.h"
#include "api/quantize_options.h"
#include "graph/op_schema.h"
#include "graph/shape_inference.h"
#include "octet/runtime.h"
#include "passes/integer_rules.h"
#include "passes/placement.h"

namespace octet {
namespace {

double elements(const Graph& graph, ValueId id) {
  const auto& shape = graph.value(id).shape;
  double count = 1;
  if (shape) {
    for (const auto extent : *shape) count *= extent > 0 ? static_cast<double>(extent) : 1.0;
  }
  return count;
}

CostKind kind_of_conv(const Graph& graph, const Node& node) {
  const auto* weight = graph.constant(node.input(1));
  if (weight == nullptr || weight->rank() < 3) return CostKind::dense;
  const auto groups = node.int_attribute("group", 1);
  if (groups > 1 && weight->dim(node.is("Conv") ? 1 : 0) <= 1) return CostKind::depthwise;
  std::int64_t taps = 1;
  for (int d = 2; d < weight->rank(); ++d) taps *= weight->dim(d);
  if (node.is("Conv") && weight->dim(1) * groups <= 4) return CostKind::first;
  return taps == 1 ? CostKind::pointwise : CostKind::dense;
}

CostKind kind_of(const Graph& graph, const Node& node) {
  if (node.is("Conv") || node.is("ConvTranspose")) return kind_of_conv(graph, node);
  if (node.is("Gemm") || node.is("MatMul")) return CostKind::matrix;
  if (node.is("Softmax") || node.is("LogSoftmax")) return CostKind::softmax;
  if (node.op.ends_with("Pool") || node.op.starts_with("Reduce")) return CostKind::pooling;
  return node.is("Add") || node.is("Mul") || node.is("Sub") || node.is("Div")
             ? CostKind::elementwise
             : CostKind::function;
}

/// Predicts each integer layer of a simplified graph.
class Predictor {
 public:
  Predictor(const Graph& graph, const Placement& placement, const MachineModel& machine)
      : graph_(graph), placement_(placement), machine_(machine), uses_(graph.uses()) {}

  std::vector<LayerPayoff> run(const std::vector<NodeId>& order) {
    std::vector<bool> part(graph_.node_slots(), false);
    std::vector<LayerPayoff> layers;
    for (const auto id : order) {
      const auto& kind = placement_.kinds[index(id)];
      if (!kind || part[index(id)] || *kind == IntegerKind::pass_through ||
          *kind == IntegerKind::join || *kind == IntegerKind::bias) {
        continue;
      }
      layers.push_back(predict(id, part));
    }
    return layers;
  }

 private:
  LayerPayoff predict(NodeId id, std::vector<bool>& part) const {
    const Node& node = graph_.node(id);
    LayerPayoff layer{node.name, node.op, {node.name}, node_macs(graph_, node), 0, 0};
    const auto kind = kind_of(graph_, node);
    const auto at = static_cast<std::size_t>(kind);
    double read = 0;
    double weights = 0;
    for (const auto input : node.inputs) {
      if (input == ValueId::none) continue;
      (graph_.constant(input) != nullptr ? weights : read) += elements(graph_, input);
    }
    const double made = elements(graph_, node.output());
    const double work = layer.macs > 0 ? static_cast<double>(layer.macs) : std::max(read, made);
    const double values = read + made + weights;
    constexpr double float_bytes = 4;
    layer.float_ms = predicted_ms(machine_, machine_.floats[at], work, float_bytes * values);
    layer.integer_ms = predicted_ms(machine_, machine_.integers[at], work, values);
    const auto activation = fused_reader(node);
    if (activation == NodeId::none) return layer;
    layer.nodes.push_back(graph_.node(activation).name);
    part[index(activation)] = true;
    // The float engine computes it along with a Conv or Gemm, and behind other operators apart.
    if (node.is("Conv") || node.is("Gemm")) return layer;
    const auto& apart = machine_.floats[static_cast<std::size_t>(CostKind::elementwise)];
    layer.float_ms += predicted_ms(machine_, apart, made, float_bytes * 2 * made);
    return layer;
  }

  /// The Relu or Clip that alone reads the node's output.
  [[nodiscard]] NodeId fused_reader(const Node& node) const {
    const auto& readers = uses_[index(node.output())];
    if (readers.size() != 1 || graph_.is_output(node.output())) return NodeId::none;
    const auto reader = readers.front().node;
    return activation_limits(graph_, graph_.node(reader)) ? reader : NodeId::none;
  }

  const Graph& graph_;
  const Placement& placement_;
  const MachineModel& machine_;
  std::vector<std::vector<Use>> uses_;
};

}  // namespace

Result<std::vector<LayerPayoff>> predict_layers(const Graph& graph, const QuantizeOptions& options,
                                                const MachineModel& machine) {
  const auto* target = find_target(options.target);
  if (target == nullptr) return internal_error("no target {}", options.target);
  OCTET_ASSIGN(const auto placement, place(graph, *target, options));
  OCTET_ASSIGN(const auto order, graph.topological_order());
  return Predictor(graph, placement, machine).run(order);
}

Result<Payoff> predict_payoff(const std::string& path, const std::string& named_target) {
  QuantizeOptions options;
  options.target = named_target.empty() ? default_target(path) : named_target;
  const auto* target = find_target(options.target);
  if (target == nullptr) {
    return fail(ErrorKind::usage, "no target '{}'; there are {}", options.target,
                fmt::join(target_names(), ", "));
  }
  OCTET_ASSIGN(auto file, open_model(path));
  if (is_quantized(file)) {
    return bad_input("{} is quantized already; its layers are measured by octet bench --layers",
                     path);
  }
  Graph graph = std::move(file.model.graph);
  OCTET_TRY(simplify(graph));
  OCTET_TRY(fit_target(graph, options));
  OCTET_TRY(infer_shapes(graph));
  OCTET_ASSIGN(const auto machine, measure_machine(thread_count()));
  Payoff out;
  constexpr double per_second = 1e-6;  // 1/ms as giga a second
  out.machine = {thread_count(), machine.float_peak * per_second, machine.integer_peak * per_second,
                 machine.memory.back().bytes_per_ms * per_second};
  OCTET_ASSIGN(out.layers, predict_layers(graph, options, machine));
  for (const auto& layer : out.layers) {
    out.float_ms += layer.float_ms;
    out.integer_ms += layer.integer_ms;
  }
  return out;
}

}  // namespace octet
