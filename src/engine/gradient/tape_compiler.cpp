// From a graph to the steps of a tape.

#include <algorithm>
#include <cmath>

#include "engine/float/float_program.h"
#include "engine/gradient/tape_code.h"

namespace octet::gradient {
namespace {

class Compiler {
 public:
  Compiler(const Graph& graph, const TapeOptions& options) : options_(options) {
    code_.graph = graph;
    code_.outputs = options.outputs;
    code_.values.resize(graph.value_slots());
    code_.parameters.resize(graph.value_slots());
  }

  Result<Code> compile() {
    describe_values();
    OCTET_ASSIGN(const auto order, code_.graph.topological_order());
    mark_dependence(order);
    OCTET_TRY(plan(order));
    OCTET_TRY(compile_prologue());
    for (auto it = planned_.rbegin(); it != planned_.rend(); ++it) OCTET_TRY(add_step(*it));
    place_leaves();
    if (options_.recompute) cut_segments();
    return std::move(code_);
  }

 private:
  struct Planned {
    NodeId node = NodeId::none;
    std::size_t output = 0;
  };

  [[nodiscard]] bool is_float(ValueId id) const {
    return id != ValueId::none && code_.graph.value(id).dtype == DType::f32;
  }
  [[nodiscard]] bool reads(const Node& node, std::size_t input) const {
    return is_float(node.input(input)) ||
           (node.input(input) != ValueId::none && reads_numbers(node, input));
  }

  void describe_values() {
    for (std::size_t slot = 0; slot < code_.values.size(); ++slot) {
      auto& facts = code_.values[slot];
      if (const Tensor* constant = code_.graph.constant(static_cast<ValueId>(slot))) {
        facts.shape = constant->shape();
        facts.parameter = true;
        if (constant->dtype() == DType::f32) code_.parameters[slot] = *constant;
      } else if (slot < options_.shapes.size() && options_.shapes[slot]) {
        facts.shape = *options_.shapes[slot];
      } else {
        continue;
      }
      if (is_static(facts.shape)) facts.count = element_count(facts.shape);
    }
    for (const auto id : options_.trained) code_.values[index(id)].wants_gradient = true;
  }

  /// The shape of a value does not depend on its elements.
  void mark_dependence(const std::vector<NodeId>& order) {
    for (const auto id : order) {
      const Node& node = code_.graph.node(id);
      if (node.is("Shape")) continue;
      const bool wants = std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
        return input != ValueId::none && code_.facts(input).wants_gradient;
      });
      for (const auto output : node.outputs) {
        if (output != ValueId::none) code_.values[index(output)].wants_gradient = wants;
      }
    }
  }

  /// What the outputs need, consumers first; what computes shapes alone is not among it.
  Status plan(const std::vector<NodeId>& order) {
    std::vector<bool> wanted(code_.values.size(), false);
    for (const auto id : options_.outputs) wanted[index(id)] = true;
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = code_.graph.node(*it);
      bool needed = false;
      for (std::size_t i = 0; i < node.outputs.size(); ++i) {
        const auto output = node.outputs[i];
        if (output == ValueId::none || !wanted[index(output)]) continue;
        OCTET_ASSIGN(const bool by_float_engine, is_prepared(node, output));
        if (by_float_engine) {
          code_.prepared.push_back(output);
        } else {
          planned_.push_back({*it, i});
          needed = true;
        }
      }
      for (std::size_t i = 0; needed && i < node.inputs.size(); ++i) {
        if (reads(node, i)) wanted[index(node.inputs[i])] = true;
      }
    }
    return {};
  }

  Result<bool> is_prepared(const Node& node, ValueId output) const {
    const bool steps = is_float(output) && has_gradient(node);
    if (!code_.facts(output).wants_gradient) return !steps;
    if (is_float(output)) return false;
    return bad_input("node {}: octet cannot train through {} numbers", node.name,
                     name(code_.graph.value(output).dtype));
  }

  /// A graph of what is prepared. The extents of all values are known, those of what is trained
  /// among them.
  Status compile_prologue() {
    if (code_.prepared.empty()) return {};
    Graph graph = code_.graph;
    graph.outputs = code_.prepared;
    for (std::size_t i = 0; i < graph.node_slots(); ++i) {
      const Node& node = graph.node(static_cast<NodeId>(i));
      if (!node.alive || !node.is("Shape") || code_.facts(node.input(0)).count == 0) continue;
      graph.value(node.output()).constant = extents(node);
      graph.remove_node(static_cast<NodeId>(i));
    }
    graph.remove_dead_nodes();
    OCTET_ASSIGN(code_.prologue, compile_float(graph));
    return {};
  }

  [[nodiscard]] Tensor extents(const Node& node) const {
    const Shape& shape = code_.facts(node.input(0)).shape;
    const auto rank = static_cast<std::int64_t>(shape.size());
    const auto position = [&](std::string_view attribute, std::int64_t otherwise) {
      const auto given = node.int_attribute(attribute, otherwise);
      return std::clamp<std::int64_t>(given < 0 ? given + rank : given, 0, rank);
    };
    const auto start = position("start", 0);
    const auto end = std::max(start, position("end", rank));
    const Shape part(shape.begin() + start, shape.begin() + end);
    return Tensor::from<std::int64_t>(part, {end - start});
  }

  Status add_step(const Planned& planned) {
    const Node& node = code_.graph.node(planned.node);
    Step step;
    step.node = planned.node;
    step.output = node.outputs[planned.output];
    OpSource source{code_.graph, node, {}, {}, {}, {}};
    source.mode = options_.mode;
    source.output_index = planned.output;
    bool computed = false;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      OCTET_TRY(add_input(node, i, step, source));
      computed = computed || !source.parameters.back();
    }
    for (const auto id : node.outputs) {
      const bool known = id != ValueId::none && code_.facts(id).count > 0;
      source.output_shapes.push_back(known ? std::optional(code_.facts(id).shape) : std::nullopt);
    }
    auto& output = code_.values[index(step.output)];
    if (output.count == 0 && !computed && !source.inputs.empty()) {
      // Fake-quant of a constant: shape inference does not know it.
      output.shape = source.inputs[0];
      output.count = element_count(output.shape);
    }
    if (output.count == 0) return unknown_shape(node);
    source.output = output.shape;
    source.output_parameter = output.parameter = !computed;
    OCTET_ASSIGN(step.op, make_gradient_op(source));
    (computed ? code_.body : code_.once).push_back(std::move(step));
    return {};
  }

  Status add_input(const Node& node, std::size_t i, Step& step, OpSource& source) {
    const auto id = node.inputs[i];
    if (!reads(node, i)) {
      step.inputs.push_back(ValueId::none);
      source.inputs.emplace_back();
      source.parameters.push_back(true);
      return {};
    }
    const auto& facts = code_.facts(id);
    if (facts.count == 0) return unknown_shape(node);
    if (const Tensor* constant = code_.graph.constant(id); constant != nullptr && !is_float(id)) {
      OCTET_ASSIGN(code_.parameters[index(id)], to_f32(*constant));
    }
    step.inputs.push_back(id);
    source.inputs.push_back(facts.shape);
    source.parameters.push_back(facts.parameter);
    return {};
  }

  static Status unknown_shape(const Node& node) {
    return bad_input("node {}: its shapes do not follow from those of the inputs", node.name);
  }

  void place_leaves() {
    for (const auto& step : code_.body) {
      for (const auto id : step.inputs) {
        if (id == ValueId::none) continue;
        auto& facts = code_.values[index(id)];
        if (!facts.parameter || !facts.wants_gradient || facts.leaf != no_leaf) continue;
        facts.leaf = static_cast<std::int64_t>(code_.leaf_count);
        code_.leaf_count += static_cast<std::size_t>(facts.count);
      }
    }
  }

  /// About sqrt(steps) segments that compute about as many elements each.
  void cut_segments() {
    const auto segments = std::sqrt(static_cast<double>(code_.body.size()));
    double total = 0;
    for (const auto& step : code_.body) total += elements_of(step);
    double done = 0;
    for (std::size_t i = 0; i < code_.body.size(); ++i) {
      const auto begun = static_cast<double>(code_.segments.size());
      if (i > 0 && done >= begun * total / segments) code_.segments.push_back(i);
      done += elements_of(code_.body[i]);
    }
  }
  [[nodiscard]] double elements_of(const Step& step) const {
    return static_cast<double>(code_.facts(step.output).count);
  }

  const TapeOptions& options_;
  std::vector<Planned> planned_;  ///< consumers first
  Code code_;
};

}  // namespace

Result<Code> compile_code(const Graph& graph, const TapeOptions& options) {
  return Compiler(graph, options).compile();
}

}  // namespace octet::gradient
