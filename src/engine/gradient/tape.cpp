#include "engine/gradient/tape.h"

#include "core/parallel.h"
#include "engine/float/onednn.h"
#include "engine/gradient/tape_code.h"

namespace octet::gradient {
namespace {

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

  Result<std::unique_ptr<TapeSession>> session() const override { return make_tape_session(code_); }

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

}  // namespace

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

Result<std::unique_ptr<Tape>> Tape::compile(const Graph& graph, const TapeOptions& options) {
  OCTET_ASSIGN(auto code, compile_code(graph, options));
  return std::make_unique<CompiledTape>(std::move(code));
}

}  // namespace octet::gradient
