#include "api/compare_layers.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "api/taps.h"
#include "core/log.h"
#include "core/parallel.h"

namespace octet {
namespace {

/// Values that a run makes or is fed.
std::vector<bool> available(const Graph& graph) {
  const auto producers = graph.producers();
  std::vector<bool> out(graph.value_slots(), false);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const bool made = producers[i] != NodeId::none || graph.is_input(id);
    out[i] = made && !graph.value(id).is_constant();
  }
  return out;
}

std::span<const float> floats(const Tensor& tensor) {
  return {tensor.data<float>(), static_cast<std::size_t>(tensor.size())};
}

/// Reals and, of a coded value, codes.
struct Captured {
  Tensor reals;
  Result<Tensor> codes;
};

template <class T>
std::int64_t differing(const Tensor& x, const Tensor& y) {
  const auto p = x.values<T>();
  const auto q = y.values<T>();
  std::int64_t count = 0;
  for (std::size_t k = 0; k < p.size(); ++k) count += p[k] != q[k] ? 1 : 0;
  return count;
}

TapRequest capture_request(std::vector<ValueId> ids, const QuantPlan& plan,
                           std::map<ValueId, Captured>& into) {
  return {std::move(ids), [&plan, &into](const TapView& view) {
            auto& captured = into[view.value];
            captured.reals = tap_reals(view, plan);
            captured.codes = tap_codes(view, plan);
          }};
}

}  // namespace

Result<Side> open_side(const std::string& path, const EngineName& engine, const std::string& rule,
                       std::span<const std::string> taps) {
  OCTET_ASSIGN(auto file, open_model(path, rule));
  OCTET_ASSIGN(auto chosen, choose_engine(file, engine, taps));
  return Side{std::move(file), std::move(chosen)};
}

LayerComparer::LayerComparer(const Side& first, const Side& second, InputMatch match)
    : first_(first), second_(second), match_(std::move(match)) {}

Result<std::unique_ptr<LayerComparer>> LayerComparer::make(const Side& first, const Side& second,
                                                           InputMatch match, bool alike) {
  auto out = std::unique_ptr<LayerComparer>(new LayerComparer(first, second, std::move(match)));
  OCTET_TRY(out->find_pairs());
  OCTET_ASSIGN(out->first_session_, first.engine.program->session({thread_count()}));
  OCTET_ASSIGN(out->second_session_, second.engine.program->session({thread_count()}));
  out->alike_ = alike;
  if (alike) OCTET_TRY(out->make_layers(second.engine.name));
  return out;
}

/// The value of the first model that stands for one of the second: by name, inputs by position;
/// none for inputs whose axes lie otherwise.
ValueId LayerComparer::in_first(ValueId second) const {
  const auto& a = first_.engine.model.graph;
  const auto& b = second_.engine.model.graph;
  for (std::size_t i = 0; i < b.inputs.size(); ++i) {
    if (b.inputs[i] != second) continue;
    return match_.turned(i) ? ValueId::none : a.inputs[match_.in_first(i)];
  }
  return a.find_value(b.value(second).name);
}

Status LayerComparer::find_pairs() {
  const auto& b = second_.engine.model.graph;
  const auto producers = b.producers();
  const auto first_has = available(first_.engine.model.graph);
  auto wanted = available(b);
  if (!second_.engine.model.plan.empty()) {
    OCTET_ASSIGN(const auto of_layers, layer_outputs(second_.engine.model));
    for (std::size_t i = 0; i < wanted.size(); ++i) wanted[i] = wanted[i] && of_layers[i];
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i]) continue;
    const auto id = static_cast<ValueId>(i);
    const auto match = in_first(id);
    if (match == ValueId::none || !first_has[index(match)]) continue;
    const auto op = producers[i] == NodeId::none ? "input" : b.node(producers[i]).op;
    pairs_.push_back({b.value(id).name, op, match, id, {}, {}});
  }
  return {};
}

Status LayerComparer::make_layers(const EngineName& engine) {
  const auto first_has = available(first_.engine.model.graph);
  const auto& graph = second_.file.model.graph;
  // The cuts are of the model as it was read: the float engine's graph has Q/DQ nodes instead of a
  // plan.
  OCTET_ASSIGN(auto cuts, cut_layers(second_.file.model));
  std::size_t left_out = 0;
  for (auto& cut : cuts) {
    Layer layer;
    bool complete = true;
    const auto add = [&](ValueId id, std::vector<ValueId>& to) {
      const auto& name = graph.value(id).name;
      const auto in_engine = second_.engine.model.graph.find_value(name);
      const auto match = in_engine == ValueId::none ? first_.engine.model.graph.find_value(name)
                                                    : in_first(in_engine);
      complete = complete && match != ValueId::none && first_has[index(match)];
      to.push_back(match);
    };
    for (const auto id : cut.inputs) add(id, layer.inputs);
    for (const auto id : cut.outputs) add(id, layer.outputs);
    if (!complete || layer.inputs.empty()) {
      ++left_out;
      continue;
    }
    ModelFile file;
    file.model = std::move(cut.model);
    auto chosen = choose_engine(file, engine);
    if (!chosen) {
      ++left_out;
      continue;
    }
    layer.program = std::move(chosen->program);
    OCTET_ASSIGN(layer.session, layer.program->session({thread_count()}));
    for (const auto id : layer.outputs) {
      const auto found = std::find_if(pairs_.begin(), pairs_.end(),
                                      [&](const Pair& pair) { return pair.first == id; });
      layer.pairs.push_back(static_cast<std::size_t>(found - pairs_.begin()));
    }
    layers_.push_back(std::move(layer));
  }
  if (left_out > 0) {
    log_info("{} layers are not run alone: the first model has not all of their values", left_out);
  }
  return {};
}

Status LayerComparer::visit(const Batch& batch) {
  OCTET_TRY(visit_propagated(batch, match_.second_inputs(batch.inputs)));
  if (alike_) OCTET_TRY(visit_alike(batch));
  return {};
}

Status LayerComparer::visit_propagated(const Batch& batch, std::span<const Tensor> second_inputs) {
  std::vector<ValueId> first_ids;
  std::vector<ValueId> second_ids;
  for (const auto& pair : pairs_) {
    first_ids.push_back(pair.first);
    second_ids.push_back(pair.second);
  }
  std::map<ValueId, Captured> a;
  std::map<ValueId, Captured> b;
  const auto first_taps = capture_request(first_ids, first_.engine.model.plan, a);
  const auto second_taps = capture_request(second_ids, second_.engine.model.plan, b);
  OCTET_TRY(first_session_->run(batch.inputs, &first_taps));
  OCTET_TRY(second_session_->run(second_inputs, &second_taps));
  for (auto& pair : pairs_) {
    const auto& x = a[pair.first];
    const auto& y = b[pair.second];
    if (x.reals.empty() || y.reals.empty() || x.reals.size() != y.reals.size()) continue;
    pair.propagated.add(SampleError::between(floats(x.reals), floats(y.reals)));
    OCTET_ASSIGN(const auto p, x.codes);
    OCTET_ASSIGN(const auto q, y.codes);
    if (p.empty() || q.empty() || p.dtype() != q.dtype()) continue;
    compared_ += p.size();
    differing_ +=
        p.dtype() == DType::i8 ? differing<std::int8_t>(p, q) : differing<std::int16_t>(p, q);
  }
  return {};
}

Status LayerComparer::run_layer(Layer& layer, const std::map<ValueId, Tensor>& values) {
  std::vector<Tensor> inputs;
  for (const auto id : layer.inputs) inputs.push_back(values.at(id));
  OCTET_ASSIGN(const auto outputs, layer.session->run(inputs));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (layer.pairs[i] >= pairs_.size()) continue;
    const auto& expected = values.at(layer.outputs[i]);
    const bool fits = outputs[i].dtype() == DType::f32 && expected.dtype() == DType::f32 &&
                      outputs[i].size() == expected.size();
    if (!fits) continue;
    pairs_[layer.pairs[i]].alike.add(SampleError::between(floats(expected), floats(outputs[i])));
  }
  return {};
}

Status LayerComparer::visit_alike(const Batch& batch) {
  const auto& graph = first_.engine.model.graph;
  std::map<ValueId, std::vector<std::size_t>> readers;
  std::vector<std::size_t> missing(layers_.size(), 0);
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    std::set<ValueId> needed(layers_[i].inputs.begin(), layers_[i].inputs.end());
    needed.insert(layers_[i].outputs.begin(), layers_[i].outputs.end());
    for (const auto id : needed) readers[id].push_back(i);
    missing[i] = needed.size();
  }
  std::map<ValueId, Tensor> values;
  std::map<ValueId, std::size_t> pending;
  for (const auto& [id, of] : readers) pending[id] = of.size();
  Status status;
  const auto arrived = [&](ValueId id, Tensor tensor) {
    values[id] = std::move(tensor);
    for (const auto i : readers[id]) {
      if (--missing[i] > 0 || !status) continue;
      if (auto run = run_layer(layers_[i], values); !run) {
        status = tl::unexpected(run.error().with_context("layer alone"));
      }
      std::set<ValueId> used(layers_[i].inputs.begin(), layers_[i].inputs.end());
      used.insert(layers_[i].outputs.begin(), layers_[i].outputs.end());
      for (const auto value : used) {
        if (--pending[value] == 0) values.erase(value);
      }
    }
  };
  TapRequest taps;
  for (const auto& [id, of] : readers) {
    if (!graph.is_input(id)) taps.values.push_back(id);
  }
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    if (readers.contains(graph.inputs[i])) arrived(graph.inputs[i], batch.inputs[i]);
  }
  taps.tap = [&](const TapView& view) {
    arrived(view.value, tap_reals(view, first_.engine.model.plan));
  };
  OCTET_TRY(first_session_->run(batch.inputs, &taps));
  return status;
}

void LayerComparer::fill(Comparison& out) const {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  for (const auto& pair : pairs_) {
    if (pair.propagated.samples() == 0 && pair.alike.samples() == 0) continue;
    LayerError layer{pair.name, pair.op,
                     pair.propagated.samples() > 0 ? pair.propagated.sqnr_db() : none,
                     std::nullopt};
    if (pair.alike.samples() > 0) layer.sqnr_alike_db = pair.alike.sqnr_db();
    out.layers.push_back(std::move(layer));
  }
  // Layers without the wanted number come last, those whose number is not finite first.
  const auto order = [this](const LayerError& layer) {
    const bool missing = alike_ && !layer.sqnr_alike_db;
    const double db = layer.sqnr_alike_db.value_or(layer.sqnr_db);
    return std::pair(missing, std::isnan(db) ? -std::numeric_limits<double>::infinity() : db);
  };
  std::stable_sort(out.layers.begin(), out.layers.end(),
                   [&](const LayerError& x, const LayerError& y) { return order(x) < order(y); });
  if (compared_ > 0) {
    out.compared_values = compared_;
    out.differing_values = differing_;
  }
}

}  // namespace octet
