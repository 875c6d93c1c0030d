#include "engine/simulation/simulation_program.h"

#include <algorithm>
#include <array>
#include <set>

#include "arithmetic/dynamic.h"
#include "core/progress.h"
#include "engine/integer/fake_constants.h"
#include "engine/integer/litert_placement.h"
#include "engine/integer/wide_ops.h"
#include "engine/integer/wide_values.h"
#include "engine/simulation/simulated_litert.h"
#include "engine/simulation/simulated_values.h"
#include "graph/shape_inference.h"
#include "graph/widen.h"

namespace octet {
namespace {

using simulation::AccumulateOp;
using simulation::CodedActivation;
using simulation::Operand;

/// How one node is simulated: as an accumulating layer, an average, or a float op between
/// dequantize and quantize.
struct SimulatedNode {
  NodeId id = NodeId::none;
  std::unique_ptr<AccumulateOp> accumulate;
  std::unique_ptr<FloatOp> op;
  std::vector<ValueId> last_reads;  ///< values that no later node reads
};

struct SimulatedModel {
  QuantizedGraph model;
  Graph graph;  ///< with the quantized constants replaced by what their codes stand for
  std::vector<NodePlacement> placements;
  std::vector<SimulatedNode> nodes;
};

class SimulationSession final : public Session {
 public:
  explicit SimulationSession(std::shared_ptr<const SimulatedModel> simulated)
      : simulated_(std::move(simulated)), values_(simulated_->model, simulated_->graph) {
    for (const auto& node : simulated_->nodes) {
      states_.push_back(node.accumulate ? node.accumulate->make_state()
                        : node.op       ? node.op->make_state()
                                        : nullptr);
    }
  }

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const TapRequest* taps) override {
    const Graph& graph = simulated_->graph;
    if (inputs.size() != graph.inputs.size()) {
      return bad_input("the model has {} inputs, not {}", graph.inputs.size(), inputs.size());
    }
    values_.begin_run(taps);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      OCTET_TRY(values_.set_floats(graph.inputs[i], {inputs[i], false}));
    }
    for (std::size_t i = 0; i < simulated_->nodes.size(); ++i) {
      const auto& node = simulated_->nodes[i];
      OCTET_TRY(check_cancel());
      if (auto status = run_node(node, states_[i].get()); !status) {
        return tl::unexpected(status.error().with_context(graph.node(node.id).name));
      }
      for (const auto value : node.last_reads) values_.free(value);
    }
    std::vector<Tensor> results;
    for (const auto id : graph.outputs) {
      OCTET_ASSIGN(const auto floats, values_.floats_of(id));
      results.push_back(to_plain(floats).tensor);
    }
    return results;
  }

 private:
  [[nodiscard]] const QuantPlan& plan() const { return simulated_->model.plan; }

  Status run_node(const SimulatedNode& node, FloatOp::State* state) {
    const NodePlacement& placement = simulated_->placements[index(node.id)];
    const Graph& graph = simulated_->model.graph;
    if (node.accumulate) return run_accumulate(node, placement, state);
    if (placement.role == Role::product) return run_product(node.id, placement);
    if (placement.role == Role::average) {
      OCTET_ASSIGN(const auto input, values_.operand(node.id, 0));
      OCTET_ASSIGN(auto output, simulation::average_codes(graph, graph.node(node.id), input,
                                                          *plan().find(placement.output), placement,
                                                          plan().rule));
      values_.set_codes(placement.output, std::move(output));
      return {};
    }
    if (placement.role == Role::sum) return run_sum(node.id, placement);
    if (is_litert(plan().rule) && !node.op) return run_on_codes(node.id, placement);
    if (placement.role == Role::binary && graph.node(node.id).is("Add")) {
      OCTET_ASSIGN(const auto a, values_.operand(node.id, 0));
      OCTET_ASSIGN(const auto b, values_.operand(node.id, 1));
      const auto& quantization = *plan().find(placement.output);
      OCTET_ASSIGN(auto output, plan().rule == Rule::openvino
                                    ? simulation::add_codes_openvino(
                                          openvino_moved_operand(simulated_->model, node.id), a, b,
                                          quantization, placement)
                                    : simulation::add_codes(a, b, quantization, placement));
      values_.set_codes(placement.output, std::move(output));
      return {};
    }
    return run_float(node, placement, state);
  }

  /// By rules tflite and xnnpack.
  Status run_on_codes(NodeId id, const NodePlacement& placement) {
    const QuantizedGraph& model = simulated_->model;
    const Node& node = model.graph.node(id);
    const auto& quantization = *plan().find(placement.output);
    const std::size_t position = model.graph.constant(node.input(0)) == nullptr ? 0 : 1;
    const bool binary = placement.role == Role::binary;
    OCTET_ASSIGN(const auto first, values_.operand(id, binary ? 0 : static_cast<int>(position)));
    Result<CodedActivation> output = internal_error("no role");
    if (binary) {
      OCTET_ASSIGN(const auto second, values_.operand(id, 1));
      output = simulation::litert_binary_codes(node, first, second, quantization, placement,
                                               plan().rule);
    } else if (placement.role == Role::lookup) {
      output = simulation::litert_lookup_codes(simulated_->graph, id, position, first, quantization,
                                               placement, plan().rule);
    } else if (placement.role == Role::softmax) {
      output = simulation::litert_softmax_codes(model, node, first);
    } else {
      OCTET_ASSIGN(const auto shape, resized(id, first.coded.codes.shape()));
      output = simulation::litert_resample_codes(model.graph, node, shape, first, quantization,
                                                 plan().rule);
    }
    if (!output) return tl::unexpected(output.error());
    values_.set_codes(placement.output, std::move(*output));
    return {};
  }

  /// Role::resample.
  Result<Shape> resized(NodeId id, const Shape& input) const {
    const Node& node = simulated_->graph.node(id);
    std::array<Activation, 2> operands;
    for (std::size_t i = 0; i < 2; ++i) {
      if (node.input(i + 2) == ValueId::none) continue;
      OCTET_ASSIGN(operands[i], values_.floats_of(node.input(i + 2)));
    }
    const auto given = [&](std::size_t i) {
      return operands[i].tensor.size() > 0 ? &operands[i].tensor : nullptr;
    };
    return litert_resized(node, input, given(0), given(1));
  }

  /// By rule openvino.
  Status run_sum(NodeId id, const NodePlacement& placement) {
    const Graph& graph = simulated_->model.graph;
    const int coded = is_coded(plan().find(graph, {id, 0})) ? 0 : 1;
    const auto real = graph.node(id).input(static_cast<std::size_t>(1 - coded));
    OCTET_ASSIGN(const auto kept, values_.operand(id, coded));
    OCTET_ASSIGN(const auto values, values_.float_input(id, 1 - coded));
    OCTET_ASSIGN(auto output,
                 simulation::add_reals_openvino(values, kept, *plan().find(placement.output),
                                                placement, comes_from_layer(graph, real)));
    values_.set_codes(placement.output, std::move(output));
    return {};
  }

  Status run_accumulate(const SimulatedNode& node, const NodePlacement& placement,
                        FloatOp::State* state) {
    if (placement.input == InputForm::dynamic) {
      OCTET_ASSIGN(const auto values,
                   values_.floats_of(simulated_->model.graph.node(node.id).input(0)));
      if (is_litert(plan().rule)) {
        OCTET_ASSIGN(auto floats, node.accumulate->run_hybrid(values, state));
        return values_.set_floats(placement.output, std::move(floats));
      }
      OCTET_ASSIGN(const auto input, simulation::quantize_dynamically(values));
      OCTET_ASSIGN(auto floats, node.accumulate->run_to_floats(input, state));
      return values_.set_floats(placement.output, std::move(floats));
    }
    if (placement.form == OutputForm::wide) {
      OCTET_ASSIGN(const auto values, values_.float_input(node.id, 0));
      OCTET_ASSIGN(auto image, node.accumulate->run_wide(values, state));
      values_.set_image(placement.output, std::move(image));
      return {};
    }
    OCTET_ASSIGN(const auto input, values_.operand(node.id, 0));
    if (placement.form == OutputForm::floats) {
      OCTET_ASSIGN(auto floats, node.accumulate->run_to_floats(input.coded, state));
      return values_.set_floats(placement.output, std::move(floats));
    }
    OCTET_ASSIGN(auto output, node.accumulate->run(input.coded, state));
    values_.set_codes(placement.output, std::move(output));
    return {};
  }

  Status run_wide_product(NodeId id, const NodePlacement& placement) {
    const Graph& graph = simulated_->model.graph;
    const auto& a = *plan().find(graph, {id, 0});
    const auto& b = *plan().find(graph, {id, 1});
    const auto& output = *plan().find(placement.output);
    OCTET_ASSIGN(const auto left, values_.float_input(id, 0));
    OCTET_ASSIGN(const auto right, values_.float_input(id, 1));
    OCTET_ASSIGN(const auto x, wide_codes(to_plain(left).tensor, a));
    OCTET_ASSIGN(const auto y, wide_codes(to_plain(right).tensor, b));
    OCTET_ASSIGN(const auto product, simulation::wide_product_sums(x, y));
    const auto channel = litert::channel(placement.wide.product, a.params.scale[0],
                                         b.params.scale[0], output.params.scale[0]);
    Tensor codes(DType::i16, product.shape);
    auto* q = codes.mutable_data<std::int16_t>();
    for (const auto sum : product.sums) {
      *q++ = static_cast<std::int16_t>(litert::requantize_wide(placement.wide.scaling, channel, sum,
                                                               placement.low, placement.high));
    }
    OCTET_ASSIGN(auto image, wide_image(codes, output));
    values_.set_image(placement.output, {std::move(image), false});
    return {};
  }

  Status run_product(NodeId id, const NodePlacement& placement) {
    if (placement.form == OutputForm::wide) return run_wide_product(id, placement);
    OCTET_ASSIGN(const auto a, values_.operand(id, 0));
    OCTET_ASSIGN(const auto b, values_.operand(id, 1));
    OCTET_ASSIGN(const auto product, simulation::product_sums(a, b));
    const float a_scale = a.quantization->params.scale[0];
    const float b_scale = b.quantization->params.scale[0];
    if (placement.form == OutputForm::floats) {
      Tensor values(DType::f32, product.shape);
      auto* y = values.mutable_data<float>();
      for (const auto sum : product.sums) {
        // Modulo 2^32, as the integer engine's accumulator.
        *y++ = float_output(static_cast<std::int32_t>(sum), a_scale * b_scale, no_bias);
      }
      return values_.set_floats(placement.output, {std::move(values), false});
    }
    const QuantParams& params = plan().find(placement.output)->params;
    const auto channel =
        litert::channel(placement.scaling.product, a_scale, b_scale, params.scale[0]);
    CodedActivation output{Tensor(DType::i8, product.shape), false};
    auto* q = output.codes.mutable_data<std::int8_t>();
    for (const auto sum : product.sums) {
      *q++ = static_cast<std::int8_t>(
          litert::requantize(placement.scaling.scaling, channel, static_cast<std::int32_t>(sum),
                             params.zero_point[0], placement.low, placement.high));
    }
    values_.set_codes(placement.output, std::move(output));
    return {};
  }

  Status run_float(const SimulatedNode& node, const NodePlacement& placement,
                   FloatOp::State* state) {
    const Node& description = simulated_->graph.node(node.id);
    std::vector<Activation> inputs(description.inputs.size());
    std::vector<const Activation*> arguments;
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (description.inputs[i] == ValueId::none) {
        arguments.push_back(nullptr);
        continue;
      }
      OCTET_ASSIGN(inputs[i], values_.moved_input(node.id, static_cast<int>(i), placement));
      arguments.push_back(&inputs[i]);
    }
    OCTET_ASSIGN(auto results, node.op->run(arguments, state));
    if (placement.role == Role::split) {
      for (std::size_t i = 0; i < results.size(); ++i) {
        const auto value = description.outputs[i];
        OCTET_ASSIGN(auto codes, values_.part_codes(node.id, results[i], *plan().find(value)));
        values_.set_codes(value, std::move(codes));
      }
      return {};
    }
    if (placement.role != Role::floating && placement.form == OutputForm::codes) {
      const auto& quantization = *plan().find(placement.output);
      OCTET_ASSIGN(auto codes, simulation::to_codes(results[0], quantization, plan().rule,
                                                    placement.low, placement.high));
      values_.set_codes(placement.output, std::move(codes));
      return {};
    }
    for (std::size_t i = 0; i < results.size() && i < description.outputs.size(); ++i) {
      const auto value = i == 0 ? placement.output : description.outputs[i];
      if (value == ValueId::none) continue;
      if (placement.role == Role::wide && !is_coded(plan().find(value))) {
        values_.set_image(value, std::move(results[i]));
      } else {
        OCTET_TRY(values_.set_floats(value, std::move(results[i])));
      }
    }
    return {};
  }

  std::shared_ptr<const SimulatedModel> simulated_;
  std::vector<std::unique_ptr<FloatOp::State>> states_;
  simulation::SimulatedValues values_;
};

class SimulationProgram final : public Program {
 public:
  explicit SimulationProgram(std::shared_ptr<const SimulatedModel> simulated)
      : simulated_(std::move(simulated)) {}

  Result<std::unique_ptr<Session>> session(const SessionOptions& /*options*/) const override {
    return std::unique_ptr<Session>(std::make_unique<SimulationSession>(simulated_));
  }
  std::string_view engine() const override { return "simulation"; }

 private:
  std::shared_ptr<const SimulatedModel> simulated_;
};

/// Notes at each node which values can be freed after it.
void note_last_reads(SimulatedModel& simulated) {
  std::set<ValueId> seen(simulated.graph.outputs.begin(), simulated.graph.outputs.end());
  for (auto it = simulated.nodes.rbegin(); it != simulated.nodes.rend(); ++it) {
    const Node& node = simulated.graph.node(it->id);
    const auto note = [&](ValueId value) {
      if (value != ValueId::none && seen.insert(value).second) it->last_reads.push_back(value);
    };
    for (const auto value : node.inputs) note(value);
    for (const auto value : node.outputs) note(value);
    note(simulated.placements[index(it->id)].output);
  }
}

/// Whether the simulation computes the node from codes, without its float operator.
bool runs_on_codes(const SimulatedModel& simulated, NodeId id) {
  const Role role = simulated.placements[index(id)].role;
  if (is_litert(simulated.model.plan.rule) && (role == Role::binary || role == Role::lookup ||
                                               role == Role::softmax || role == Role::resample)) {
    return true;
  }
  return role == Role::sum || (role == Role::binary && simulated.model.graph.node(id).is("Add"));
}

Status add_node(SimulatedModel& simulated, NodeId id, std::vector<SimulatedLayer>& layers) {
  const NodePlacement& placement = simulated.placements[index(id)];
  if (placement.role == Role::absorbed) return {};
  SimulatedNode node;
  node.id = id;
  if (placement.role == Role::accumulate) {
    OCTET_ASSIGN(node.accumulate, AccumulateOp::make(simulated.model, id, placement));
    layers.push_back(node.accumulate->summary());
  } else if (placement.role == Role::wide) {
    OCTET_ASSIGN(node.op, make_wide_op(simulated.model, simulated.graph, id, placement));
  } else if (placement.role != Role::average && placement.role != Role::product &&
             !runs_on_codes(simulated, id)) {
    OCTET_ASSIGN(node.op, make_float_op(simulated.graph, id));
  }
  simulated.nodes.push_back(std::move(node));
  return {};
}

}  // namespace

Result<Simulation> compile_simulation(const QuantizedGraph& model) {
  auto simulated = std::make_shared<SimulatedModel>();
  simulated->model = model;
  OCTET_TRY(widen_halves(simulated->model.graph));
  OCTET_TRY(infer_shapes(simulated->model.graph));
  OCTET_ASSIGN(simulated->placements, place_nodes(simulated->model));
  OCTET_ASSIGN(simulated->graph, with_fake_constants(simulated->model, simulated->placements));
  OCTET_ASSIGN(const auto order, simulated->model.graph.topological_order());
  Simulation result;
  for (const auto id : order) {
    if (auto status = add_node(*simulated, id, result.layers); !status) {
      return tl::unexpected(status.error().with_context(simulated->model.graph.node(id).name));
    }
  }
  note_last_reads(*simulated);
  result.program = std::make_unique<SimulationProgram>(std::move(simulated));
  return result;
}

}  // namespace octet
