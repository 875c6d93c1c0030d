#include "engine/float/float_program.h"

#include "core/progress.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "engine/float/onednn.h"
#include "engine/float/ops.h"
#include "graph/widen.h"

namespace octet {
namespace float_engine {
namespace {

/// One operator (perhaps with the activation after it) and the values it reads and makes.
struct Step {
  std::unique_ptr<NodeOp> op;
  std::string node;
  std::string label;
  std::vector<ValueId> inputs;  ///< ValueId::none for absent ones and for constants
  std::vector<ValueId> outputs;
  std::vector<ValueId> last_uses;  ///< values that no later step reads
  std::int64_t constant_bytes = 0;
};

std::int64_t bytes_of(const Activation& value) {
  return static_cast<std::int64_t>(value.tensor.bytes());
}

struct Plan {
  Graph graph;
  std::vector<Step> steps;
  std::vector<bool> computed;  ///< by value slot: a graph input or the output of a step
};

class Compiler {
 public:
  Compiler(const Graph& graph, std::span<const ValueId> tap_candidates)
      : tapped_(graph.value_slots()) {
    plan_.graph = graph;
    for (const auto id : tap_candidates) {
      if (id != ValueId::none) tapped_[index(id)] = true;
    }
  }

  Result<Plan> compile() {
    OCTET_TRY(widen_halves(plan_.graph));
    tapped_.resize(plan_.graph.value_slots());
    OCTET_ASSIGN(auto order, plan_.graph.topological_order());
    OCTET_TRY(fold_constants(order));
    drop_unneeded(order);
    uses_ = plan_.graph.uses();
    plan_.computed.assign(plan_.graph.value_slots(), false);
    for (const auto id : plan_.graph.inputs) plan_.computed[index(id)] = true;
    std::vector<bool> absorbed(plan_.graph.node_slots(), false);
    for (const auto id : order) {
      if (!absorbed[index(id)]) OCTET_TRY(add_step(id, absorbed));
    }
    find_last_uses();
    return std::move(plan_);
  }

 private:
  [[nodiscard]] bool is_constant(ValueId id) const {
    return id == ValueId::none || plan_.graph.constant(id) != nullptr;
  }

  /// Evaluates what depends on constants only and takes those nodes out of `order`.
  Status fold_constants(std::vector<NodeId>& order) {
    std::vector<NodeId> remaining;
    for (const auto id : order) {
      const Node node = plan_.graph.node(id);
      const bool foldable =
          std::all_of(node.inputs.begin(), node.inputs.end(),
                      [&](ValueId input) { return is_constant(input); }) &&
          std::none_of(node.outputs.begin(), node.outputs.end(), [&](ValueId output) {
            return output != ValueId::none && tapped_[index(output)];
          });
      if (!foldable) {
        remaining.push_back(id);
        continue;
      }
      OCTET_ASSIGN(auto results, evaluate_constant_node(plan_.graph, id));
      for (std::size_t i = 0; i < node.outputs.size() && i < results.size(); ++i) {
        if (node.outputs[i] == ValueId::none) continue;
        Value& value = plan_.graph.value(node.outputs[i]);
        value.dtype = results[i].dtype();
        value.shape = results[i].shape();
        value.constant = std::move(results[i]);
      }
      plan_.graph.remove_node(id);
    }
    order = std::move(remaining);
    return {};
  }

  /// Keeps the nodes that outputs or taps depend on.
  void drop_unneeded(std::vector<NodeId>& order) {
    std::vector<bool> needed = tapped_;
    for (const auto id : plan_.graph.outputs) needed[index(id)] = true;
    std::vector<NodeId> kept;
    for (auto it = order.rbegin(); it != order.rend(); ++it) {
      const Node& node = plan_.graph.node(*it);
      const bool wanted = std::any_of(
          node.outputs.begin(), node.outputs.end(),
          [&](ValueId output) { return output != ValueId::none && needed[index(output)]; });
      if (!wanted) {
        plan_.graph.remove_node(*it);
        continue;
      }
      for (const auto input : node.inputs) {
        if (input != ValueId::none) needed[index(input)] = true;
      }
      kept.push_back(*it);
    }
    order.assign(kept.rbegin(), kept.rend());
  }

  /// The Relu or Clip that alone reads the node's output and may be computed with it.
  [[nodiscard]] NodeId fusable_reader(const Node& node) const {
    if (!node.is("Conv") && !node.is("Gemm")) return NodeId::none;
    const ValueId output = node.output();
    if (output == ValueId::none || tapped_[index(output)] || plan_.graph.is_output(output)) {
      return NodeId::none;
    }
    const auto& uses = uses_[index(output)];
    if (uses.size() != 1 || uses.front().input != 0) return NodeId::none;
    const NodeId reader = uses.front().node;
    return fusion_of(plan_.graph, plan_.graph.node(reader)) ? reader : NodeId::none;
  }

  Status add_step(NodeId id, std::vector<bool>& absorbed) {
    const Node& node = plan_.graph.node(id);
    Step step;
    step.node = node.name;
    step.label = node.op;
    step.outputs = node.outputs;
    Fusion fusion;
    if (const NodeId reader = fusable_reader(node); reader != NodeId::none) {
      const Node& activation = plan_.graph.node(reader);
      fusion = fusion_of(plan_.graph, activation).value();
      step.label += "+" + activation.op;
      step.outputs = activation.outputs;
      absorbed[index(reader)] = true;
    }
    OCTET_ASSIGN(step.op, make_node_op(plan_.graph, id, fusion));
    for (const auto input : node.inputs) {
      step.inputs.push_back(is_constant(input) ? ValueId::none : input);
      if (input == ValueId::none || !is_constant(input)) continue;
      step.constant_bytes += static_cast<std::int64_t>(plan_.graph.constant(input)->bytes());
    }
    for (const auto output : step.outputs) {
      if (output != ValueId::none) plan_.computed[index(output)] = true;
    }
    plan_.steps.push_back(std::move(step));
    return {};
  }

  void find_last_uses() {
    std::vector<bool> alive(plan_.graph.value_slots(), false);
    for (const auto id : plan_.graph.outputs) alive[index(id)] = true;
    for (auto step = plan_.steps.rbegin(); step != plan_.steps.rend(); ++step) {
      const auto visit = [&](ValueId id) {
        if (id == ValueId::none || alive[index(id)]) return;
        alive[index(id)] = true;
        step->last_uses.push_back(id);
      };
      for (const auto id : step->inputs) visit(id);
      // An output that nobody reads is freed at once.
      for (const auto id : step->outputs) visit(id);
    }
  }

  Plan plan_;
  std::vector<bool> tapped_;
  std::vector<std::vector<Use>> uses_;
};

/// A tensor that does not hold on to memory of the session.
Tensor detached(const Tensor& tensor) {
  Tensor copy(tensor.dtype(), tensor.shape());
  if (tensor.bytes() > 0) std::memcpy(copy.mutable_raw(), tensor.raw(), tensor.bytes());
  return copy;
}

class FloatSession : public Session {
 public:
  FloatSession(std::shared_ptr<const Plan> plan, int threads)
      : plan_(std::move(plan)), threads_(threads), values_(plan_->graph.value_slots()) {
    for (const auto& step : plan_->steps) states_.push_back(step.op->make_state());
  }

  Result<std::vector<Tensor>> run(std::span<const Tensor> inputs, const TapRequest* taps) override {
    OCTET_TRY(check_inputs(inputs));
    std::vector<bool> wanted;
    OCTET_ASSIGN(wanted, wanted_values(taps));
    times_.clear();
    auto result = run_steps(inputs, wanted, taps);
    // Also after an error: nothing stays alive between runs.
    std::fill(values_.begin(), values_.end(), Activation{});
    return result;
  }

  void set_profiling(bool on) override { profiling_ = on; }
  std::vector<StepTime> step_times() const override { return times_; }

 private:
  Result<std::vector<Tensor>> run_steps(std::span<const Tensor> inputs,
                                        const std::vector<bool>& wanted, const TapRequest* taps) {
    const onednn::ThreadScope threads(threads_);
    const PoolScope pool(pool_);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const ValueId id = plan_->graph.inputs[i];
      values_[index(id)] = {inputs[i], false};
      offer(id, wanted, taps);
    }
    for (std::size_t i = 0; i < plan_->steps.size(); ++i) {
      OCTET_TRY(check_cancel());
      OCTET_TRY(run_step(i, wanted, taps));
    }
    std::vector<Tensor> outputs;
    for (const auto id : plan_->graph.outputs) {
      const Tensor* constant = plan_->graph.constant(id);
      outputs.push_back(constant != nullptr ? *constant
                                            : detached(to_plain(values_[index(id)]).tensor));
    }
    return outputs;
  }

  Status run_step(std::size_t i, const std::vector<bool>& wanted, const TapRequest* taps) {
    const Step& step = plan_->steps[i];
    std::vector<const Activation*> inputs;
    for (const auto id : step.inputs) {
      inputs.push_back(id == ValueId::none ? nullptr : &values_[index(id)]);
    }
    const auto begin = std::chrono::steady_clock::now();
    OCTET_ASSIGN(auto outputs, step.op->run(inputs, states_[i].get()));
    if (profiling_) record(step, i, begin, inputs, outputs);
    for (std::size_t k = 0; k < step.outputs.size() && k < outputs.size(); ++k) {
      if (step.outputs[k] == ValueId::none) continue;
      values_[index(step.outputs[k])] = std::move(outputs[k]);
      offer(step.outputs[k], wanted, taps);
    }
    for (const auto id : step.last_uses) values_[index(id)] = {};
    return {};
  }

  void record(const Step& step, std::size_t i, std::chrono::steady_clock::time_point begin,
              const std::vector<const Activation*>& inputs,
              const std::vector<Activation>& outputs) {
    const std::chrono::duration<double, std::milli> elapsed =
        std::chrono::steady_clock::now() - begin;
    std::int64_t bytes = step.constant_bytes;
    for (const auto* input : inputs) bytes += input == nullptr ? 0 : bytes_of(*input);
    for (const auto& output : outputs) bytes += bytes_of(output);
    times_.push_back({step.node, step.label, step.op->kernel(states_[i].get()), elapsed.count(),
                      outputs.empty() ? 0 : step.op->macs(outputs.front()), bytes});
  }

  void offer(ValueId id, const std::vector<bool>& wanted, const TapRequest* taps) const {
    if (wanted.empty() || !wanted[index(id)]) return;
    const Activation& value = values_[index(id)];
    if (value.tensor.dtype() != DType::f32) return;
    TapView view;
    view.value = id;
    view.shape = value.tensor.shape();
    view.values = value.tensor.values<float>();
    view.channels_last = value.channels_last;
    taps->tap(view);
  }

  Result<std::vector<bool>> wanted_values(const TapRequest* taps) const {
    if (taps == nullptr || !taps->tap) return std::vector<bool>{};
    std::vector<bool> wanted(plan_->graph.value_slots(), false);
    for (const auto id : taps->values) {
      if (id == ValueId::none || index(id) >= wanted.size()) {
        return internal_error("a tap asks for a value that the graph does not have");
      }
      if (!plan_->computed[index(id)]) {
        return internal_error("a tap asks for {}, which is not computed: name it as a candidate",
                              plan_->graph.value(id).name);
      }
      wanted[index(id)] = true;
    }
    return wanted;
  }

  Status check_inputs(std::span<const Tensor> inputs) const {
    const Graph& graph = plan_->graph;
    if (inputs.size() != graph.inputs.size()) {
      return bad_input("the model takes {} inputs, {} were given", graph.inputs.size(),
                       inputs.size());
    }
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      const Value& value = graph.value(graph.inputs[i]);
      const Tensor& given = inputs[i];
      if (given.empty() || (value.dtype != DType::undefined && given.dtype() != value.dtype)) {
        return bad_input("input {} is {}, the model takes {}", value.name, name(given.dtype()),
                         name(value.dtype));
      }
      if (!value.shape) continue;
      bool fits = value.shape->size() == given.shape().size();
      for (std::size_t d = 0; fits && d < given.shape().size(); ++d) {
        fits = (*value.shape)[d] == dynamic_dim || (*value.shape)[d] == given.shape()[d];
      }
      if (!fits) {
        return bad_input("input {} has shape {}, the model takes {}", value.name,
                         to_string(given.shape()), to_string(*value.shape));
      }
    }
    return {};
  }

  std::shared_ptr<const Plan> plan_;
  int threads_;
  bool profiling_ = false;
  BufferPool pool_;
  std::vector<Activation> values_;  // by value slot
  std::vector<std::unique_ptr<FloatOp::State>> states_;
  std::vector<StepTime> times_;
};

class FloatProgram : public Program {
 public:
  explicit FloatProgram(Plan plan) : plan_(std::make_shared<const Plan>(std::move(plan))) {}

  Result<std::unique_ptr<Session>> session(const SessionOptions& options) const override {
    return std::make_unique<FloatSession>(plan_, std::max(options.threads, 1));
  }
  std::string_view engine() const override { return "float"; }

 private:
  std::shared_ptr<const Plan> plan_;
};

}  // namespace
}  // namespace float_engine

Result<std::unique_ptr<Program>> compile_float(const Graph& graph,
                                               std::span<const ValueId> tap_candidates) {
  OCTET_ASSIGN(auto plan, float_engine::Compiler(graph, tap_candidates).compile());
  return std::make_unique<float_engine::FloatProgram>(std::move(plan));
}

}  // namespace octet
