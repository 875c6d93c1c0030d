// A session of a tape: values forward, gradients backward, and the memory of both.

#include <algorithm>

#include "engine/float/float_op.h"
#include "engine/float/onednn.h"
#include "engine/gradient/tape_code.h"

namespace octet::gradient {
namespace {

Tensor to_rows(const Tensor& tensor, const Shape& shape) {
  return to_plain({tensor.reshaped(shape), shape.size() == 4}).tensor;
}

/// The order in memory that steps expect.
Tensor in_order(const Tensor& tensor) {
  return tensor.rank() == 4 ? to_channels_last({tensor, false}).tensor : tensor;
}

/// Buffers of one size wait here to be used again.
class Buffers {
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
  Session(const Code& code, std::unique_ptr<octet::Session> prologue)
      : code_(code),
        prologue_(std::move(prologue)),
        values_(code.values.size()),
        gradients_(code.values.size()) {
    for (const auto& step : code.body) states_.push_back(step.op->make_state());
    find_dropped();
  }

  Result<std::vector<Tensor>> forward(std::span<const Tensor> inputs) override {
    const float_engine::onednn::ThreadScope single(1);
    OCTET_TRY(feed(inputs));
    for (std::size_t segment = 0; segment < code_.segments.size(); ++segment) {
      OCTET_TRY(run_segment(segment, false));
      // The backward pass begins with the last one.
      if (segment + 1 < code_.segments.size()) drop(segment);
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
    for (std::size_t segment = code_.segments.size(); segment-- > 0;) {
      if (!dropped_[segment].empty()) OCTET_TRY(run_segment(segment, true));
      for (std::size_t i = end_of(segment); i-- > code_.segments[segment];) {
        OCTET_TRY(backward_step(i, leaves));
      }
      drop(segment);
    }
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
  [[nodiscard]] std::size_t end_of(std::size_t segment) const {
    return segment + 1 < code_.segments.size() ? code_.segments[segment + 1] : code_.body.size();
  }

  /// With segments: what a segment computes for itself alone. What a later one reads, and outputs,
  /// are kept.
  void find_dropped() {
    dropped_.resize(code_.segments.size());
    if (code_.segments.size() == 1) return;
    std::vector<bool> kept(code_.values.size(), false);
    for (const auto id : code_.outputs) kept[index(id)] = true;
    for (std::size_t segment = code_.segments.size(); segment-- > 0;) {
      const std::span steps(code_.body.data() + code_.segments[segment],
                            end_of(segment) - code_.segments[segment]);
      for (const auto& step : steps) {
        if (!kept[index(step.output)]) dropped_[segment].push_back(step.output);
      }
      for (const auto& step : steps) {
        for (const auto id : step.inputs) {
          if (id != ValueId::none) kept[index(id)] = true;
        }
      }
    }
  }

  void drop(std::size_t segment) {
    for (const auto id : dropped_[segment]) {
      Tensor& value = values_[index(id)];
      if (!value.empty()) buffers_.give_back(std::exchange(value, {}));
    }
  }

  /// `again`: only what was dropped.
  Status run_segment(std::size_t segment, bool again) {
    for (std::size_t i = code_.segments[segment]; i < end_of(segment); ++i) {
      const Step& step = code_.body[i];
      Tensor& output = values_[index(step.output)];
      if (again && !output.empty()) continue;
      const auto count = code_.facts(step.output).count;
      if (output.empty()) output = buffers_.take(count);
      const auto read = pointers(code_, step, values_);
      OCTET_TRY(
          in_node(code_, step,
                  step.op->forward({read, output.mutable_data<float>(), states_[i].get(), again})));
    }
    return {};
  }

  Status feed(std::span<const Tensor> inputs) {
    const auto& ids = code_.graph.inputs;
    if (inputs.size() != ids.size()) {
      return internal_error("{} inputs for a graph of {}", inputs.size(), ids.size());
    }
    for (std::size_t i = 0; i < ids.size(); ++i) OCTET_TRY(place(ids[i], inputs[i]));
    if (prologue_ == nullptr) return {};
    OCTET_ASSIGN(const auto prepared, prologue_->run(inputs));
    for (std::size_t i = 0; i < prepared.size(); ++i) {
      OCTET_TRY(place(code_.prepared[i], prepared[i]));
    }
    return {};
  }

  Status place(ValueId id, const Tensor& tensor) {
    const auto& facts = code_.facts(id);
    const Value& value = code_.graph.value(id);
    if (tensor.dtype() != value.dtype || tensor.shape() != facts.shape) {
      return internal_error("value {} has shape {}, not {}", value.name, to_string(tensor.shape()),
                            to_string(facts.shape));
    }
    OCTET_ASSIGN(values_[index(id)],
                 tensor.dtype() == DType::f32 ? Result<Tensor>(tensor) : to_f32(tensor));
    values_[index(id)] = in_order(values_[index(id)]);
    return {};
  }

  void start_from(ValueId id, const Tensor& gradient) {
    const auto& facts = code_.facts(id);
    if (!facts.wants_gradient || facts.parameter) return;
    const Tensor ordered = in_order(gradient);
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
  std::unique_ptr<octet::Session> prologue_;
  std::vector<Tensor> values_;     ///< by value slot, in memory order
  std::vector<Tensor> gradients_;  ///< likewise, while they are alive
  std::vector<bool> written_;
  std::vector<std::unique_ptr<OpState>> states_;
  std::vector<std::vector<ValueId>> dropped_;  ///< by segment
  Buffers buffers_;
};

}  // namespace

Result<std::unique_ptr<TapeSession>> make_tape_session(const Code& code) {
  std::unique_ptr<octet::Session> prologue;
  if (code.prologue != nullptr) {
    OCTET_ASSIGN(prologue, code.prologue->session());
  }
  return std::make_unique<Session>(code, std::move(prologue));
}

}  // namespace octet::gradient
