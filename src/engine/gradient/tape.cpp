#include "engine/gradient/tape.h"

#include <algorithm>
#include <mutex>

#include "core/parallel.h"
#include "engine/float/float_op.h"
#include "engine/float/onednn.h"

namespace octet::gradient {
namespace {

constexpr std::int64_t no_leaf = -1;

struct Step {
  std::shared_ptr<GradientOp> op;
  NodeId node = NodeId::none;
  std::vector<ValueId> inputs;  ///< ValueId::none where absent
  ValueId output = ValueId::none;
};

/// What is known of a value once the graph is compiled.
struct ValueFacts {
  Shape shape;
  std::int64_t count = 0;
  bool parameter = false;       ///< a constant, or computed from constants alone
  bool wants_gradient = false;  ///< depends on a trained constant
  std::int64_t leaf = no_leaf;  ///< offset of its gradient among the leaves
};

struct Code {
  Graph graph;
  std::vector<ValueFacts> values;
  std::vector<Step> once;  ///< run in update()
  std::vector<Step> body;
  std::vector<ValueId> outputs;
  std::size_t leaf_count = 0;
  /// Current numbers of parameters, by value slot; empty for others.
  std::vector<Tensor> parameters;

  [[nodiscard]] const ValueFacts& facts(ValueId id) const { return values[index(id)]; }
};

Tensor to_rows(const Tensor& tensor, const Shape& shape) {
  return to_plain({tensor.reshaped(shape), shape.size() == 4}).tensor;
}

/// `computed` may be empty: what is not a parameter is nullptr then.
std::vector<const float*> pointers(const Code& code, const Step& step,
                                   const std::vector<Tensor>& computed) {
  std::vector<const float*> found;
  for (const auto id : step.inputs) {
    if (id == ValueId::none) {
      found.push_back(nullptr);
    } else {
      const auto& from = code.facts(id).parameter ? code.parameters : computed;
      const bool known = index(id) < from.size() && !from[index(id)].empty();
      found.push_back(known ? from[index(id)].data<float>() : nullptr);
    }
  }
  return found;
}

Status in_node(const Code& code, const Step& step, Status status) {
  if (status) return status;
  return tl::unexpected(
      status.error().with_context(fmt::format("node {}", code.graph.node(step.node).name)));
}

/// Gradient buffers of one size wait here to be used again.
class GradientBuffers {
 public:
  Tensor take(std::int64_t count) {
    auto& waiting = free_[count];
    if (waiting.empty()) return {DType::f32, {count}};
    Tensor tensor = std::move(waiting.back());
    waiting.pop_back();
    return tensor;
  }
  void give_back(Tensor tensor) { free_[tensor.size()].push_back(std::move(tensor)); }

 private:
  std::map<std::int64_t, std::vector<Tensor>> free_;
};

class Session : public TapeSession {
 public:
  explicit Session(const Code& code)
      : code_(code), values_(code.values.size()), gradients_(code.values.size()) {
    for (const auto& step : code.body) states_.push_back(step.op->make_state());
  }

  Result<std::vector<Tensor>> forward(std::span<const Tensor> inputs) override {
    const float_engine::onednn::ThreadScope single(1);
    OCTET_TRY(feed(inputs));
    for (std::size_t i = 0; i < code_.body.size(); ++i) {
      const Step& step = code_.body[i];
      Tensor& output = values_[index(step.output)];
      if (output.empty()) output = Tensor(DType::f32, {code_.facts(step.output).count});
      const auto read = pointers(code_, step, values_);
      OCTET_TRY(in_node(code_, step,
                        step.op->forward({read, output.mutable_data<float>(), states_[i].get()})));
    }
    std::vector<Tensor> results;
    for (const auto id : code_.outputs) {
      results.push_back(to_rows(values_[index(id)], code_.facts(id).shape));
    }
    return results;
  }

  Status backward(std::span<const Tensor> output_gradients, std::span<float> leaves) override {
    const float_engine::onednn::ThreadScope single(1);
    written_.assign(code_.values.size(), false);
    for (std::size_t i = 0; i < code_.outputs.size(); ++i) {
      start_from(code_.outputs[i], output_gradients[i]);
    }
    for (std::size_t i = code_.body.size(); i-- > 0;) OCTET_TRY(backward_step(i, leaves));
    for (std::size_t slot = 0; slot < code_.values.size(); ++slot) {
      const auto& facts = code_.values[slot];
      if (facts.leaf == no_leaf || written_[slot]) continue;
      std::fill_n(leaves.begin() + facts.leaf, facts.count, 0.0F);
    }
    return {};
  }

  std::map<NodeId, BatchMoments> take_moments() override {
    std::map<NodeId, BatchMoments> taken;
    for (std::size_t i = 0; i < code_.body.size(); ++i) {
      auto* state = dynamic_cast<BatchNormState*>(states_[i].get());
      if (state != nullptr) taken.emplace(code_.body[i].node, std::exchange(state->moments, {}));
    }
    return taken;
  }

 private:
  Status feed(std::span<const Tensor> inputs) {
    const auto& ids = code_.graph.inputs;
    if (inputs.size() != ids.size()) {
      return internal_error("{} inputs for a graph of {}", inputs.size(), ids.size());
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto& facts = code_.facts(ids[i]);
      if (inputs[i].dtype() != DType::f32 || inputs[i].shape() != facts.shape) {
        return internal_error("input {} has shape {}, not {}", i, to_string(inputs[i].shape()),
                              to_string(facts.shape));
      }
      values_[index(ids[i])] =
          facts.shape.size() == 4 ? to_channels_last({inputs[i], false}).tensor : inputs[i];
    }
    return {};
  }

  void start_from(ValueId id, const Tensor& gradient) {
    const auto& facts = code_.facts(id);
    if (!facts.wants_gradient || facts.parameter) return;
    const Tensor ordered =
        facts.shape.size() == 4 ? to_channels_last({gradient, false}).tensor : gradient;
    const Target to = target_of(id, {});
    deliver(to, ordered.data<float>(), facts.count);
  }

  /// Where the gradient of an input goes, marked as written.
  Target target_of(ValueId id, std::span<float> leaves) {
    if (id == ValueId::none || !code_.facts(id).wants_gradient) return {};
    const auto slot = index(id);
    const auto& facts = code_.values[slot];
    const bool add = written_[slot];
    written_[slot] = true;
    if (facts.parameter) return {leaves.data() + facts.leaf, add};
    if (!add) gradients_[slot] = buffers_.take(facts.count);
    return {gradients_[slot].mutable_data<float>(), add};
  }

  Status backward_step(std::size_t i, std::span<float> leaves) {
    const Step& step = code_.body[i];
    const auto slot = index(step.output);
    if (!written_[slot]) return {};  // no output depends on it
    std::vector<Target> targets;
    for (const auto id : step.inputs) {
      // x + x has one gradient in two parts.
      targets.push_back(target_of(id, leaves));
    }
    const auto read = pointers(code_, step, values_);
    OCTET_TRY(
        in_node(code_, step,
                step.op->backward({read, values_[slot].data<float>(),
                                   gradients_[slot].data<float>(), targets, states_[i].get()})));
    buffers_.give_back(std::exchange(gradients_[slot], {}));
    return {};
  }

  const Code& code_;
  std::vector<Tensor> values_;     ///< by value slot, in memory order
  std::vector<Tensor> gradients_;  ///< likewise, while they are alive
  std::vector<bool> written_;
  std::vector<std::unique_ptr<OpState>> states_;
  GradientBuffers buffers_;
};

class CompiledTape : public Tape {
 public:
  explicit CompiledTape(Code code) : code_(std::move(code)) {}

  Status update(const Parameters& parameters) override {
    for (const auto& [id, tensor] : parameters) code_.parameters[index(id)] = tensor;
    for (const auto& step : code_.once) {
      Tensor output(DType::f32, code_.facts(step.output).shape);
      const auto read = pointers(code_, step, {});
      OCTET_TRY(
          in_node(code_, step, step.op->forward({read, output.mutable_data<float>(), nullptr})));
      code_.parameters[index(step.output)] = std::move(output);
    }
    return parallel_try(static_cast<std::int64_t>(code_.body.size()),
                        [&](int, std::int64_t i) -> Status {
                          const Step& step = code_.body[static_cast<std::size_t>(i)];
                          const float_engine::onednn::ThreadScope single(1);
                          return in_node(code_, step, step.op->update(pointers(code_, step, {})));
                        });
  }

  Result<std::unique_ptr<TapeSession>> session() const override {
    return std::make_unique<Session>(code_);
  }

  std::size_t leaf_count() const override { return code_.leaf_count; }

  Result<Parameters> gradients(std::span<const float> leaves) override {
    std::vector<Tensor> sums(code_.values.size());
    for (std::size_t slot = 0; slot < code_.values.size(); ++slot) {
      const auto& facts = code_.values[slot];
      if (facts.leaf == no_leaf) continue;
      const auto first = static_cast<std::size_t>(facts.leaf);
      sums[slot] =
          Tensor::from(leaves.subspan(first, static_cast<std::size_t>(facts.count)), facts.shape);
    }
    for (auto step = code_.once.rbegin(); step != code_.once.rend(); ++step) {
      OCTET_TRY(backward_once(*step, sums));
    }
    Parameters found;
    for (std::size_t slot = 0; slot < sums.size(); ++slot) {
      const auto id = static_cast<ValueId>(slot);
      if (code_.graph.constant(id) == nullptr || sums[slot].empty()) continue;
      found.emplace(id, std::move(sums[slot]));
    }
    return found;
  }

 private:
  Status backward_once(const Step& step, std::vector<Tensor>& sums) const {
    const Tensor& gradient = sums[index(step.output)];
    if (gradient.empty()) return {};
    std::vector<Target> targets;
    for (const auto id : step.inputs) {
      if (id == ValueId::none || !code_.facts(id).wants_gradient) {
        targets.push_back({});
        continue;
      }
      Tensor& sum = sums[index(id)];
      const bool add = !sum.empty();
      if (!add) sum = Tensor(DType::f32, code_.facts(id).shape);
      targets.push_back({sum.mutable_data<float>(), add});
    }
    const auto read = pointers(code_, step, {});
    return in_node(code_, step,
                   step.op->backward({read, code_.parameters[index(step.output)].data<float>(),
                                      gradient.data<float>(), targets, nullptr}));
  }

  Code code_;
};

class Compiler {
 public:
  Compiler(const Graph& graph, const TapeOptions& options) : options_(options) {
    code_.graph = graph;
    code_.outputs = options.outputs;
    code_.values.resize(graph.value_slots());
    code_.parameters.resize(graph.value_slots());
  }

  Result<Code> compile() {
    OCTET_TRY(describe_values());
    OCTET_ASSIGN(const auto order, code_.graph.topological_order());
    const auto needed = needed_nodes(order);
    for (const auto id : order) {
      if (needed[index(id)]) OCTET_TRY(add_step(id));
    }
    place_leaves();
    return std::move(code_);
  }

 private:
  [[nodiscard]] bool is_float(ValueId id) const {
    return id != ValueId::none && code_.graph.value(id).dtype == DType::f32;
  }

  Status describe_values() {
    for (std::size_t slot = 0; slot < code_.values.size(); ++slot) {
      const auto id = static_cast<ValueId>(slot);
      auto& facts = code_.values[slot];
      if (const Tensor* constant = code_.graph.constant(id)) {
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
    return {};
  }

  /// Nodes that the outputs depend on through floats; what computes shapes is not among them.
  [[nodiscard]] std::vector<bool> needed_nodes(const std::vector<NodeId>& order) const {
    std::vector<bool> wanted(code_.values.size(), false);
    for (const auto id : options_.outputs) wanted[index(id)] = true;
    std::vector<bool> needed(code_.graph.node_slots(), false);
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = code_.graph.node(*it);
      if (node.output() == ValueId::none || !wanted[index(node.output())]) continue;
      needed[index(*it)] = true;
      for (const auto input : node.inputs) {
        if (is_float(input)) wanted[index(input)] = true;
      }
    }
    return needed;
  }

  Status add_step(NodeId id) {
    const Node& node = code_.graph.node(id);
    Step step;
    step.node = id;
    step.output = node.output();
    OpSource source{code_.graph, node, {}, {}, code_.facts(step.output).shape, options_.mode};
    bool computed = false;
    bool wants = false;
    for (const auto input : node.inputs) {
      const bool read = is_float(input);
      step.inputs.push_back(read ? input : ValueId::none);
      source.inputs.push_back(read ? code_.facts(input).shape : Shape{});
      source.parameters.push_back(!read || code_.facts(input).parameter);
      computed = computed || (read && !code_.facts(input).parameter);
      wants = wants || (read && code_.facts(input).wants_gradient);
      if (read && !is_static(code_.facts(input).shape)) return unknown_shape(node);
    }
    auto& output = code_.values[index(step.output)];
    if (output.count == 0 && !computed && !source.inputs.empty()) {
      // Fake-quant of a constant: shape inference does not know it.
      output.shape = source.inputs[0];
      output.count = element_count(output.shape);
      source.output = output.shape;
    }
    if (output.shape.empty() || !is_static(output.shape)) return unknown_shape(node);
    output.parameter = !computed;
    output.wants_gradient = wants;
    OCTET_ASSIGN(step.op, make_gradient_op(source));
    (computed ? code_.body : code_.once).push_back(std::move(step));
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

  const TapeOptions& options_;
  Code code_;
};

}  // namespace

Result<std::unique_ptr<Tape>> Tape::compile(const Graph& graph, const TapeOptions& options) {
  OCTET_ASSIGN(auto code, Compiler(graph, options).compile());
  return std::make_unique<CompiledTape>(std::move(code));
}

}  // namespace octet::gradient
