#include <algorithm>
#include <map>
#include <mutex>

#include "analysis/metrics.h"
#include "api/engine_choice.h"
#include "api/latency.h"
#include "arithmetic/quantize.h"
#include "core/parallel.h"
#include "octet/evaluate.h"

namespace octet {
namespace {

/// Samples on which the layers are compared; outputs are compared on all of them.
constexpr std::int64_t layer_samples = 64;

struct Side {
  ModelFile file;
  ChosenEngine engine;
};

Result<Side> open_side(const std::string& path, const EngineName& engine,
                       std::span<const std::string> taps) {
  OCTET_ASSIGN(auto file, read_model(path));
  OCTET_ASSIGN(auto chosen, choose_engine(file, engine, taps));
  return Side{std::move(file), std::move(chosen)};
}

struct SampleResult {
  bool visited = false;
  std::size_t first_class = 0;
  std::size_t second_class = 0;
  bool first_top5 = false;
  bool second_top5 = false;
  double kl = 0;
};

/// One value that both models make.
struct Pair {
  std::string name;
  std::string op;
  ValueId first = ValueId::none;
  ValueId second = ValueId::none;
};

std::string producing_op(const Graph& graph, const std::vector<NodeId>& producers, ValueId id) {
  const auto node = producers[index(id)];
  return node == NodeId::none ? "input" : graph.node(node).op;
}

/// Values of the second model's plan (all made values when it has none) that the first has by name.
std::vector<Pair> matching_values(const Side& first, const Side& second) {
  const auto& a = first.engine.model.graph;
  const auto& b = second.engine.model.graph;
  const auto producers = b.producers();
  const auto first_producers = a.producers();
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < b.value_slots(); ++i) {
    const auto id = static_cast<ValueId>(i);
    const auto& value = b.value(id);
    if (value.is_constant() || (producers[i] == NodeId::none && !b.is_input(id))) continue;
    if (!second.engine.model.plan.empty() && second.engine.model.plan.find(id) == nullptr) continue;
    const auto match = a.find_value(value.name);
    if (match == ValueId::none || a.value(match).is_constant()) continue;
    if (first_producers[index(match)] == NodeId::none && !a.is_input(match)) continue;
    pairs.push_back({value.name, producing_op(b, producers, id), match, id});
  }
  return pairs;
}

/// A tapped value copied in channels-last order with its codes turned into reals.
struct Captured {
  std::vector<float> values;
  std::vector<std::int8_t> codes;
};

template <class T>
std::vector<T> channels_last(std::span<const T> elements, const TapView& view) {
  std::vector<T> out(elements.begin(), elements.end());
  if (view.channels_last || view.shape.size() != 4) return out;
  const auto n = view.shape[0], c = view.shape[1], hw = view.shape[2] * view.shape[3];
  for (std::int64_t b = 0; b < n; ++b) {
    for (std::int64_t k = 0; k < c; ++k) {
      for (std::int64_t p = 0; p < hw; ++p) {
        out[static_cast<std::size_t>((b * hw + p) * c + k)] =
            elements[static_cast<std::size_t>((b * c + k) * hw + p)];
      }
    }
  }
  return out;
}

Captured capture(const TapView& view, const QuantPlan& plan) {
  Captured out;
  if (view.codes.empty()) {
    out.values = channels_last(view.values, view);
    return out;
  }
  out.codes = channels_last(view.codes, view);
  const auto* q = plan.find(view.value);
  if (q == nullptr) return out;
  out.values.reserve(out.codes.size());
  for (const auto code : out.codes) {
    out.values.push_back(
        dequantize_value(code, q->params.scale.front(), q->params.zero_point.front()));
  }
  return out;
}

TapRequest capture_request(const std::vector<ValueId>& ids, const QuantPlan& plan,
                           std::map<ValueId, Captured>& into) {
  return {ids, [&plan, &into](const TapView& view) { into[view.value] = capture(view, plan); }};
}

struct LayerTotals {
  std::vector<Sqnr> sqnr;
  std::int64_t compared = 0;
  std::int64_t differing = 0;
};

class Comparer {
 public:
  Comparer(const Side& first, const Side& second, const OpenData& data)
      : first_(first),
        second_(second),
        data_(data),
        pairs_(matching_values(first, second)),
        first_sessions_(*first.engine.program),
        second_sessions_(*second.engine.program),
        results_(data.selection.size()) {}

  Status visit(int worker, const Batch& batch) {
    OCTET_ASSIGN(auto* first, first_sessions_.get(worker));
    OCTET_ASSIGN(auto* second, second_sessions_.get(worker));
    OCTET_ASSIGN(const auto a, first->run(batch.inputs));
    OCTET_ASSIGN(const auto b, second->run(batch.inputs));
    OCTET_TRY(check_scores(a[0], batch.indices.size()));
    OCTET_TRY(check_scores(b[0], batch.indices.size()));
    if (a[0].size() != b[0].size()) {
      return bad_input("the models' first outputs differ in size: {} and {}",
                       to_string(a[0].shape()), to_string(b[0].shape()));
    }
    std::call_once(labels_checked_, [&] {
      const bool labelled = !data_.dataset->labels().empty();
      if (labelled) labels_fit_ = check_labels(data_, a[0].size() / a[0].dim(0));
    });
    OCTET_TRY(labels_fit_);
    for (std::size_t i = 0; i < batch.indices.size(); ++i) {
      results_[static_cast<std::size_t>(batch.first) + i] =
          judge(row(a[0], static_cast<std::int64_t>(i)), row(b[0], static_cast<std::int64_t>(i)),
                batch.indices[i]);
    }
    return {};
  }

  /// Runs the layers of a few batches one after the other, in selection order.
  Status visit_layers(const Batch& batch) {
    OCTET_ASSIGN(auto* first, first_sessions_.get(0));
    OCTET_ASSIGN(auto* second, second_sessions_.get(0));
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
    OCTET_TRY(first->run(batch.inputs, &first_taps));
    OCTET_TRY(second->run(batch.inputs, &second_taps));
    totals_.sqnr.resize(pairs_.size());
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      const auto& x = a[pairs_[i].first];
      const auto& y = b[pairs_[i].second];
      if (x.values.empty() || x.values.size() != y.values.size()) continue;
      totals_.sqnr[i].add(x.values, y.values);
      count_differing(x, y);
    }
    return {};
  }

  void fill(Comparison& out) const {
    const bool labelled = !data_.dataset->labels().empty();
    double first_top1 = 0, second_top1 = 0, first_top5 = 0, second_top5 = 0;
    for (std::size_t i = 0; i < results_.size(); ++i) {
      const auto& result = results_[i];
      if (!result.visited) continue;
      ++out.count;
      out.agreement += result.first_class == result.second_class ? 1 : 0;
      out.kl += result.kl;
      if (!labelled) continue;
      const auto label = label_of(data_.selection[i]);
      first_top1 += result.first_class == label ? 1 : 0;
      second_top1 += result.second_class == label ? 1 : 0;
      first_top5 += result.first_top5 ? 1 : 0;
      second_top5 += result.second_top5 ? 1 : 0;
    }
    const auto count = static_cast<double>(std::max<std::int64_t>(out.count, 1));
    out.agreement /= count;
    out.kl /= count;
    if (labelled) {
      out.first.top1 = first_top1 / count;
      out.second.top1 = second_top1 / count;
      out.first.top5 = first_top5 / count;
      out.second.top5 = second_top5 / count;
    }
    for (std::size_t i = 0; i < totals_.sqnr.size(); ++i) {
      out.layers.push_back({pairs_[i].name, pairs_[i].op, totals_.sqnr[i].decibel()});
    }
    std::stable_sort(
        out.layers.begin(), out.layers.end(),
        [](const LayerError& x, const LayerError& y) { return x.sqnr_db < y.sqnr_db; });
    if (totals_.compared > 0) {
      out.compared_values = totals_.compared;
      out.differing_values = totals_.differing;
    }
  }

 private:
  [[nodiscard]] std::size_t label_of(std::int64_t sample) const {
    return static_cast<std::size_t>(data_.dataset->labels()[static_cast<std::size_t>(sample)] +
                                    data_.recipe.label_offset);
  }

  [[nodiscard]] SampleResult judge(std::span<const float> a, std::span<const float> b,
                                   std::int64_t sample) const {
    SampleResult out{true,       arg_max(a),
                     arg_max(b), false,
                     false,      kl_divergence(class_probabilities(a), class_probabilities(b))};
    if (data_.dataset->labels().empty()) return out;
    out.first_top5 = in_top_k(a, label_of(sample), 5);
    out.second_top5 = in_top_k(b, label_of(sample), 5);
    return out;
  }

  void count_differing(const Captured& x, const Captured& y) {
    if (x.codes.empty() || x.codes.size() != y.codes.size()) return;
    totals_.compared += static_cast<std::int64_t>(x.codes.size());
    for (std::size_t k = 0; k < x.codes.size(); ++k) {
      totals_.differing += x.codes[k] != y.codes[k] ? 1 : 0;
    }
  }

  const Side& first_;
  const Side& second_;
  const OpenData& data_;
  std::vector<Pair> pairs_;
  WorkerSessions first_sessions_;
  WorkerSessions second_sessions_;
  std::vector<SampleResult> results_;
  LayerTotals totals_;
  std::once_flag labels_checked_;
  Status labels_fit_;
};

Status measure_speed(const Side& side, ComparedModel& out) {
  OCTET_ASSIGN(const auto inputs, random_inputs(side.file.model.graph, 1));
  OCTET_ASSIGN(const auto bench,
               measure_latency(*side.engine.program, inputs, {0.5, thread_count(), false}));
  out.median_ms = bench.median_ms;
  return {};
}

std::vector<std::int64_t> first_of(const std::vector<std::int64_t>& selection, std::int64_t count) {
  const auto n = std::min<std::size_t>(selection.size(), static_cast<std::size_t>(count));
  return {selection.begin(), selection.begin() + static_cast<std::ptrdiff_t>(n)};
}

}  // namespace

Result<Comparison> compare(const CompareRequest& request) {
  const std::vector<std::string> every = {"*"};
  OCTET_ASSIGN(const auto first, open_side(request.first, request.first_engine, {}));
  OCTET_ASSIGN(const auto second, open_side(request.second, request.second_engine, {}));
  OCTET_ASSIGN(const auto data,
               open_data(request.data, first.file.model.graph, 0, &second.file.model.graph));
  Comparer comparer(first, second, data);

  LoaderOptions options;
  options.batch_size = sweep_batch(first.file.model.graph);
  options.undecodable = request.data.skip_undecodable ? Undecodable::skip : Undecodable::error;
  options.task = "compare";
  options.progress = request.progress;
  OCTET_ASSIGN(const auto report, for_each_batch(*data.dataset, data.selection, options,
                                                 [&](int worker, const Batch& batch) {
                                                   return comparer.visit(worker, batch);
                                                 }));
  if (report.samples == 0) return bad_input("{}: no sample could be used", data.dataset->name());

  // Layers are compared on a graph whose values between fused operators exist, one batch at a time.
  OCTET_ASSIGN(const auto first_tapped, open_side(request.first, request.first_engine, every));
  OCTET_ASSIGN(const auto second_tapped, open_side(request.second, request.second_engine, every));
  Comparer layers(first_tapped, second_tapped, data);
  std::mutex one_at_a_time;
  options.task = "compare layers";
  OCTET_TRY(for_each_batch(*data.dataset, first_of(data.selection, layer_samples), options,
                           [&](int, const Batch& batch) {
                             const std::lock_guard lock(one_at_a_time);
                             return layers.visit_layers(batch);
                           }));

  Comparison out;
  out.skipped = report.skipped;
  Comparison of_layers;
  comparer.fill(out);
  layers.fill(of_layers);
  out.layers = std::move(of_layers.layers);
  out.compared_values = of_layers.compared_values;
  out.differing_values = of_layers.differing_values;
  out.first.bytes = first.file.bytes;
  out.second.bytes = second.file.bytes;
  out.first.engine = first.engine.name;
  out.second.engine = second.engine.name;
  if (!request.measure_speed) return out;
  OCTET_TRY(measure_speed(first, out.first));
  OCTET_TRY(measure_speed(second, out.second));
  return out;
}

}  // namespace octet
