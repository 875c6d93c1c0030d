#include "analysis/plan_trials.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>

#include "analysis/output_comparison.h"
#include "arithmetic/quantize.h"
#include "core/parallel.h"
#include "engine/float/buffer_pool.h"
#include "engine/float/float_op.h"
#include "engine/integer/wide_values.h"
#include "engine/simulation/simulated_layer.h"
#include "graph/shape_inference.h"
#include "graph/widen.h"

namespace octet {
namespace {

/// What a plan makes of a node: the operator with its constants, and the quantization of the values
/// it reads and makes. Pointers are into the plan.
struct NodeForm {
  std::shared_ptr<FloatOp> op;
  std::vector<const Quantization*> reads;  ///< overrides at inputs that are not constant
  std::vector<const Quantization*> makes;
};

struct PlanForm {
  std::vector<NodeForm> nodes;              ///< by position in the order of execution
  std::vector<const Quantization*> inputs;  ///< of the graph
  std::vector<bool> differs;                ///< from the base, by position; empty: all
  std::vector<bool> input_differs;
};

struct KnownForm {
  const PlanForm* form = nullptr;
  const QuantPlan* plan = nullptr;
};

bool same(const Quantization* a, const Quantization* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return a->params == b->params && a->scheme == b->scheme && is_dynamic(*a) == is_dynamic(*b);
}

/// The graph in execution order, and forms of plans over it.
class Forms {
 public:
  static Result<Forms> make(const QuantizedGraph& model) {
    Forms forms;
    forms.model_ = model;
    OCTET_TRY(widen_halves(forms.model_.graph));
    OCTET_TRY(infer_shapes(forms.model_.graph));
    OCTET_ASSIGN(forms.order_, forms.model_.graph.topological_order());
    forms.scratch_ = forms.model_.graph;
    forms.find_last_reads();
    return forms;
  }

  [[nodiscard]] const Graph& graph() const { return model_.graph; }
  [[nodiscard]] const std::vector<NodeId>& order() const { return order_; }
  [[nodiscard]] const std::vector<ValueId>& last_reads(std::size_t position) const {
    return last_reads_[position];
  }

  /// `known`: the base first, then others; they lend operators where the plans agree.
  Result<PlanForm> form(const QuantPlan& plan, const std::map<ValueId, Tensor>& constants,
                        std::span<const KnownForm> known) {
    model_.plan = plan;
    PlanForm out;
    const auto* base = known.empty() ? nullptr : known.front().form;
    for (const auto id : graph().inputs) {
      out.inputs.push_back(plan.find(id));
      if (base != nullptr) {
        out.input_differs.push_back(!same(out.inputs.back(), base->inputs[out.inputs.size() - 1]));
      }
    }
    for (std::size_t i = 0; i < order_.size(); ++i) {
      const auto id = order_[i];
      NodeForm node = quantizations(plan, id);
      bool differs = false;
      if (base != nullptr) {
        const auto& other = base->nodes[i];
        differs = !std::equal(node.reads.begin(), node.reads.end(), other.reads.begin(), same) ||
                  !std::equal(node.makes.begin(), node.makes.end(), other.makes.begin(), same);
        for (const auto& lender : known) {
          if (node.op) break;
          if (!same_constants(plan, *lender.plan, constants, id)) continue;
          node.op = lender.form->nodes[i].op;
        }
        differs = differs || node.op != other.op;
      }
      if (!node.op) {
        differs = true;
        auto made = make_op(id, constants);
        if (!made) return tl::unexpected(made.error().with_context(graph().node(id).name));
        node.op = std::move(*made);
      }
      out.nodes.push_back(std::move(node));
      if (base != nullptr) out.differs.push_back(differs);
    }
    return out;
  }

 private:
  NodeForm quantizations(const QuantPlan& plan, NodeId id) const {
    NodeForm form;
    const Node& node = graph().node(id);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const bool constant = graph().constant(node.inputs[i]) != nullptr;
      const auto it = plan.overrides.find({id, static_cast<int>(i)});
      form.reads.push_back(constant || it == plan.overrides.end() ? nullptr : &it->second);
    }
    for (const auto output : node.outputs) {
      form.makes.push_back(output == ValueId::none ? nullptr : plan.find(output));
    }
    return form;
  }

  [[nodiscard]] bool same_constants(const QuantPlan& a, const QuantPlan& b,
                                    const std::map<ValueId, Tensor>& constants, NodeId id) const {
    const Node& node = graph().node(id);
    const auto codes = [](const QuantPlan& plan, ValueId value) {
      const auto it = plan.payloads.find(value);
      return it == plan.payloads.end() ? nullptr : it->second.raw();
    };
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto value = node.inputs[i];
      if (graph().constant(value) == nullptr) continue;
      if (constants.contains(value)) return false;
      const Use use{id, static_cast<int>(i)};
      const auto* q = a.find(graph(), use);
      if (!same(q, b.find(graph(), use))) return false;
      if (q != nullptr && codes(a, value) != codes(b, value)) return false;
    }
    return true;
  }

  /// The node's operator with its constants as model_.plan leaves them.
  Result<std::shared_ptr<FloatOp>> make_op(NodeId id, const std::map<ValueId, Tensor>& constants) {
    const Node node = graph().node(id);
    std::map<ValueId, Tensor> kept;
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto value = node.inputs[i];
      const auto* constant = graph().constant(value);
      if (constant == nullptr) continue;
      const auto given = constants.find(value);
      Tensor now = given == constants.end() ? *constant : given->second;
      const Use use{id, static_cast<int>(i)};
      const auto* q = model_.plan.find(graph(), use);
      if (q != nullptr && !is_dynamic(*q)) {
        kept.try_emplace(value, *constant);
        model_.graph.value(value).constant = now;
        OCTET_ASSIGN(const auto codes, constant_codes(model_, use));
        model_.graph.value(value).constant = kept.at(value);
        OCTET_ASSIGN(now, dequantize(codes, q->params));
      }
      kept.try_emplace(value, *constant);
      scratch_.value(value).constant = std::move(now);
    }
    auto op = make_float_op(scratch_, id);
    for (auto& [value, tensor] : kept) scratch_.value(value).constant = tensor;
    if (!op) return tl::unexpected(op.error());
    return std::shared_ptr<FloatOp>(std::move(*op));
  }

  void find_last_reads() {
    last_reads_.resize(order_.size());
    std::vector<bool> seen(graph().value_slots(), false);
    for (const auto id : graph().outputs) seen[index(id)] = true;
    for (std::size_t i = order_.size(); i-- > 0;) {
      const Node& node = graph().node(order_[i]);
      const auto note = [&](ValueId value) {
        if (value == ValueId::none || seen[index(value)]) return;
        seen[index(value)] = true;
        last_reads_[i].push_back(value);
      };
      for (const auto value : node.inputs) note(value);
      for (const auto value : node.outputs) note(value);
    }
  }

  QuantizedGraph model_;
  Graph scratch_;
  std::vector<NodeId> order_;
  std::vector<std::vector<ValueId>> last_reads_;
};

Result<Activation> quantized_image(Activation values, const Quantization* q, Rule rule) {
  if (q == nullptr || values.tensor.dtype() != DType::f32) return values;
  if (is_dynamic(*q)) {
    OCTET_ASSIGN(const auto codes, simulation::quantize_dynamically(values));
    OCTET_ASSIGN(auto image,
                 dequantize(codes.coded.codes, {{codes.scale}, {codes.zero_point}, -1}));
    return Activation{std::move(image), codes.coded.channels_last};
  }
  if (q->params.per_channel()) values = to_plain(values);
  OCTET_ASSIGN(auto image, fake_quantize_by(rule, values.tensor, *q));
  return Activation{std::move(image), values.channels_last};
}

/// One worker: runs forms on a batch, and keeps what the two bases made of it.
class Worker {
 public:
  explicit Worker(const Forms& forms) : forms_(forms) {}

  Result<std::vector<Tensor>> run_base(const PlanForm& form, Rule rule,
                                       std::span<const Tensor> inputs,
                                       std::vector<Activation>& values) {
    const float_engine::PoolScope pool(pool_);
    values.assign(forms_.graph().value_slots(), {});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      OCTET_ASSIGN(values[index(forms_.graph().inputs[i])],
                   quantized_image({inputs[i], false}, form.inputs[i], rule));
    }
    for (std::size_t i = 0; i < forms_.order().size(); ++i) {
      OCTET_TRY(run_node(form, rule, i, values, nullptr, nullptr));
    }
    return outputs(values, nullptr, nullptr);
  }

  Result<std::vector<Tensor>> run_trial(const PlanForm& form, Rule rule,
                                        std::span<const Tensor> inputs,
                                        const std::vector<Activation>& base) {
    const float_engine::PoolScope pool(pool_);
    const Graph& graph = forms_.graph();
    std::vector<bool> changed(graph.value_slots(), false);
    changed_values_.assign(graph.value_slots(), {});
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      if (!form.input_differs[i]) continue;
      const auto id = graph.inputs[i];
      OCTET_ASSIGN(changed_values_[index(id)],
                   quantized_image({inputs[i], false}, form.inputs[i], rule));
      changed[index(id)] = true;
    }
    for (std::size_t i = 0; i < forms_.order().size(); ++i) {
      const Node& node = graph.node(forms_.order()[i]);
      const bool reached =
          form.differs[i] || std::any_of(node.inputs.begin(), node.inputs.end(), [&](ValueId id) {
            return id != ValueId::none && changed[index(id)];
          });
      if (reached) {
        OCTET_TRY(run_node(form, rule, i, changed_values_, &base, &changed));
        for (const auto id : node.outputs) {
          if (id != ValueId::none) changed[index(id)] = true;
        }
      }
      for (const auto id : forms_.last_reads(i)) changed_values_[index(id)] = {};
    }
    return outputs(changed_values_, &base, &changed);
  }

 private:
  Status run_node(const PlanForm& form, Rule rule, std::size_t position,
                  std::vector<Activation>& values, const std::vector<Activation>* base,
                  const std::vector<bool>* changed) {
    const Graph& graph = forms_.graph();
    const Node& node = graph.node(forms_.order()[position]);
    const NodeForm& as = form.nodes[position];
    std::vector<Activation> held(node.inputs.size());
    std::vector<const Activation*> arguments(node.inputs.size(), nullptr);
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const auto id = node.inputs[i];
      if (id == ValueId::none || graph.constant(id) != nullptr) continue;
      const bool own = base == nullptr || (*changed)[index(id)];
      arguments[i] = own ? &values[index(id)] : &(*base)[index(id)];
      if (as.reads[i] == nullptr) continue;
      OCTET_ASSIGN(held[i], quantized_image(*arguments[i], as.reads[i], rule));
      arguments[i] = &held[i];
    }
    auto results = as.op->run(arguments, state(*as.op));
    if (!results) return tl::unexpected(results.error().with_context(node.name));
    for (std::size_t i = 0; i < node.outputs.size() && i < results->size(); ++i) {
      if (node.outputs[i] == ValueId::none) continue;
      OCTET_ASSIGN(values[index(node.outputs[i])],
                   quantized_image(std::move((*results)[i]), as.makes[i], rule));
    }
    return {};
  }

  [[nodiscard]] std::vector<Tensor> outputs(const std::vector<Activation>& values,
                                            const std::vector<Activation>* base,
                                            const std::vector<bool>* changed) const {
    std::vector<Tensor> out;
    for (const auto id : forms_.graph().outputs) {
      const auto* constant = forms_.graph().constant(id);
      const bool own = base == nullptr || (*changed)[index(id)];
      out.push_back(constant != nullptr
                        ? *constant
                        : to_plain(own ? values[index(id)] : (*base)[index(id)]).tensor);
    }
    return out;
  }

  FloatOp::State* state(const FloatOp& op) {
    const auto [it, added] = states_.try_emplace(&op);
    if (added) it->second = op.make_state();
    return it->second.get();
  }

  const Forms& forms_;
  float_engine::BufferPool pool_;
  std::map<const FloatOp*, std::unique_ptr<FloatOp::State>> states_;
  std::vector<Activation> changed_values_;
};

TrialError to_error(const OutputComparison& comparison) {
  TrialError error;
  const double db = comparison.total().sqnr_db();
  error.noise = std::pow(10.0, -db / 10);
  if (const auto* agreement = comparison.agreement()) {
    error.agreement = agreement->agreement();
    if (const double kl = agreement->kl(); !std::isnan(kl)) error.kl = kl;
  }
  return error;
}

/// Everything that the workers share, and what each has of its own.
class Trials {
 public:
  static Result<Trials> make(const QuantizedGraph& model, std::span<const PlanTrial> trials) {
    Trials out(trials);
    out.plan_ = model.plan;
    out.float_plan_.rule = model.plan.rule;
    OCTET_ASSIGN(auto forms, Forms::make(model));
    out.forms_ = std::make_unique<Forms>(std::move(forms));
    OCTET_ASSIGN(out.floating_, out.forms_->form(out.float_plan_, {}, {}));
    const KnownForm floating{&out.floating_, &out.float_plan_};
    OCTET_ASSIGN(out.quantized_, out.forms_->form(out.plan_, {}, std::array{floating}));
    const KnownForm quantized{&out.quantized_, &out.plan_};
    for (const auto& trial : trials) {
      const bool from_codes = trial.base == TrialBase::quantized;
      const std::array known = {from_codes ? quantized : floating,
                                from_codes ? floating : quantized};
      OCTET_ASSIGN(auto form, out.forms_->form(trial.plan, trial.constants, known));
      out.forms_of_trials_.push_back(std::move(form));
    }
    out.start();
    return out;
  }

  Status visit(int worker, const Batch& batch, const BaseVisitor& visitor) {
    auto& own = workers_[static_cast<std::size_t>(worker)];
    const Rule rule = plan_.rule;
    std::vector<Activation> floats;
    std::vector<Activation> codes;
    OCTET_ASSIGN(const auto expected, own.run.run_base(floating_, rule, batch.inputs, floats));
    OCTET_ASSIGN(const auto quantized, own.run.run_base(quantized_, rule, batch.inputs, codes));
    const auto samples = std::max<std::int64_t>(1, static_cast<std::int64_t>(batch.indices.size()));
    own.errors[0].add(expected, quantized, samples);
    if (visitor) OCTET_TRY(visitor(worker, batch, {floats, codes}));
    for (std::size_t i = 0; i < trials_.size(); ++i) {
      const bool from_codes = trials_[i].base == TrialBase::quantized;
      OCTET_ASSIGN(const auto outputs, own.run.run_trial(forms_of_trials_[i], rule, batch.inputs,
                                                         from_codes ? codes : floats));
      own.errors[i + 1].add(expected, outputs, samples);
    }
    return {};
  }

  [[nodiscard]] TrialErrors errors() const {
    TrialErrors out;
    for (std::size_t i = 0; i <= trials_.size(); ++i) {
      auto sum = workers_.front().errors[i];
      for (std::size_t w = 1; w < workers_.size(); ++w) sum.merge(workers_[w].errors[i]);
      if (i == 0) out.quantized = to_error(sum);
      if (i > 0) out.trials.push_back(to_error(sum));
    }
    return out;
  }

 private:
  struct Own {
    Worker run;
    std::vector<OutputComparison> errors;  ///< of the quantized model, then by trial
  };

  explicit Trials(std::span<const PlanTrial> trials) : trials_(trials) {}

  void start() {
    const auto pairs = pair_outputs(forms_->graph(), forms_->graph());
    for (int i = 0; i < std::max(thread_count(), 1); ++i) {
      workers_.push_back({Worker(*forms_), std::vector<OutputComparison>(trials_.size() + 1,
                                                                         OutputComparison(pairs))});
    }
  }

  std::span<const PlanTrial> trials_;
  QuantPlan plan_;
  QuantPlan float_plan_;
  std::unique_ptr<Forms> forms_;
  PlanForm floating_;
  PlanForm quantized_;
  std::vector<PlanForm> forms_of_trials_;
  std::vector<Own> workers_;
};

}  // namespace

Result<TrialErrors> run_trials(const QuantizedGraph& model, std::span<const PlanTrial> trials,
                               const SampleSource& samples, std::int64_t limit,
                               const BaseVisitor& visitor) {
  OCTET_ASSIGN(auto running, Trials::make(model, trials));
  OCTET_ASSIGN(const auto count, samples(model.graph, limit, [&](int worker, const Batch& batch) {
                 return running.visit(worker, batch, visitor);
               }));
  auto errors = running.errors();
  errors.samples = count;
  return errors;
}

}  // namespace octet
