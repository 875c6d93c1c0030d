#include <algorithm>
#include <array>
#include <map>

#include "arithmetic/quantize.h"
#include "calibration/range_search.h"
#include "core/parallel.h"
#include "engine/float/float_program.h"
#include "engine/float/onednn.h"
#include "engine/worker_sessions.h"
#include "passes/integer_rules.h"
#include "passes/layer_rows.h"
#include "passes/passes.h"
#include "passes/vector_sums.h"

// Chooses for each value, or group of values that share params, among the ranges that the observers
// give: the one whose codes x' make the smallest error at the outputs of the layers that read it,
//
//   sum over readers   sum |f(W x' + b) - f(W x + b)|^2 / sum f(W x + b)^2
//
// f: the Relu or Clip behind the layer, sums over output positions of samples. What clipping takes
// away has one sign and adds up in W x', rounding errors average out there: an observer that looks
// at the value alone has to guess how much more clipping weighs. Readers that are no layers (sums,
// poolings) count with the expected error of the value itself.

namespace octet::passes {
namespace {

using float_engine::onednn::matrix_product;
using float_engine::onednn::ThreadScope;

constexpr std::int64_t sample_limit = 32;
/// Output positions of one sample, for each layer.
constexpr std::int64_t most_positions = 128;
/// Ties go to the first.
constexpr std::array observers = {ObserverKind::mse, ObserverKind::minmax, ObserverKind::percentile,
                                  ObserverKind::entropy};

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

struct Candidate {
  std::string_view observer;
  QuantParams params;
};

/// Values that share params, and the ranges that they may have.
struct Group {
  std::vector<Candidate> candidates;
  std::vector<double> errors;  ///< by candidate
  QuantScheme scheme;
};

struct LayerReader {
  NodeId id = NodeId::none;
  ValueId value = ValueId::none;
  const Group* group = nullptr;
  LayerRows rows;
  std::vector<float> weights;  ///< [groups][outputs][row_length]
  std::vector<float> bias;     ///< by output channel
  ActivationBounds bounds;
};

/// Of one sample and reader: squared errors by candidate, and the square of what is right.
struct Sums {
  std::vector<double> errors;
  double reference = 0;
};

std::vector<float> weights_by_row(const WeightView& view, const float* weight) {
  std::vector<float> rows;
  const auto length = view.inputs * view.taps;
  rows.reserve(at(view.output_channels() * length));
  for (std::int64_t o = 0; o < view.output_channels(); ++o) {
    for (std::int64_t k = 0; k < length; ++k) {
      rows.push_back(
          weight[view.at(o / view.outputs, o % view.outputs, k / view.taps, k % view.taps)]);
    }
  }
  return rows;
}

/// What a layer gives for rows of inputs, [groups][rows][outputs], behind its activation.
Result<std::vector<float>> outputs_of(const LayerReader& layer, const float* inputs,
                                      std::int64_t rows) {
  const auto& view = layer.rows.view();
  const auto length = layer.rows.row_length();
  std::vector<float> outputs(at(view.groups * rows * view.outputs));
  for (std::int64_t g = 0; g < view.groups; ++g) {
    const float* x = inputs + g * rows * length;
    const float* w = layer.weights.data() + g * view.outputs * length;
    float* y = outputs.data() + g * rows * view.outputs;
    if (view.outputs == 1) {
      for (std::int64_t r = 0; r < rows; ++r) y[r] = sums::dot(x + r * length, w, length);
    } else {
      OCTET_TRY(matrix_product(false, true, rows, view.outputs, length, 1.0F, x, w, 0.0F, y));
    }
    for (std::int64_t i = 0; i < rows * view.outputs; ++i) {
      const float bias =
          layer.bias.empty() ? 0 : layer.bias[at(g * view.outputs + i % view.outputs)];
      y[i] = std::clamp(y[i] + bias, layer.bounds.low, layer.bounds.high);
    }
  }
  return outputs;
}

Result<Sums> measure(const LayerReader& layer, const TapView& view, std::int64_t sample) {
  const ThreadScope single(1);
  const auto total = layer.rows.positions(view);
  const auto drawn = draw_positions(total, most_positions, static_cast<std::uint64_t>(sample));
  const auto rows = static_cast<std::int64_t>(drawn.size());
  Sums sums;
  sums.errors.assign(layer.group->candidates.size(), 0.0);
  if (rows == 0) return sums;
  auto reals = layer.rows.inputs(view, nullptr, drawn);
  const auto count = static_cast<std::int64_t>(reals.size());
  const auto inputs = Tensor::from<float>(std::move(reals), {count});
  OCTET_ASSIGN(const auto wanted, outputs_of(layer, inputs.data<float>(), rows));
  for (const float y : wanted) sums.reference += static_cast<double>(y) * static_cast<double>(y);
  for (std::size_t c = 0; c < sums.errors.size(); ++c) {
    OCTET_ASSIGN(const auto coded,
                 fake_quantize(inputs, layer.group->candidates[c].params, layer.group->scheme));
    OCTET_ASSIGN(const auto found, outputs_of(layer, coded.data<float>(), rows));
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double error = static_cast<double>(found[i]) - static_cast<double>(wanted[i]);
      sums.errors[c] += error * error;
    }
  }
  return sums;
}

class Chooser {
 public:
  explicit Chooser(PassContext& context) : context_(context), graph_(context.model.graph) {}

  Status run() {
    OCTET_TRY(find_candidates());
    find_readers();
    OCTET_TRY(measure_readers());
    return take_best();
  }

 private:
  Status find_candidates() {
    std::vector<std::pair<const ValueStatistics*, Group*>> work;
    for (const auto& [root, quantization] : context_.group_quantizations) {
      if (quantization.origin == Origin::fixed) continue;
      auto& group = groups_[root];
      group.scheme = quantization.scheme;
      work.emplace_back(&context_.group_statistics.at(root), &group);
    }
    OCTET_TRY(
        parallel_try(static_cast<std::int64_t>(work.size()), [&](int, std::int64_t i) -> Status {
          auto& [seen, group] = work[at(i)];
          for (const auto observer : observers) {
            OCTET_ASSIGN(auto params, params_from_statistics(*seen, observer, group->scheme));
            add(*group, {name(observer), std::move(params)});
          }
          group->errors.assign(group->candidates.size(), 0.0);
          return {};
        }));
    std::erase_if(groups_, [](const auto& entry) { return entry.second.candidates.size() < 2; });
    return {};
  }

  static void add(Group& group, Candidate candidate) {
    const bool known =
        std::any_of(group.candidates.begin(), group.candidates.end(),
                    [&](const Candidate& other) { return other.params == candidate.params; });
    if (!known) group.candidates.push_back(std::move(candidate));
  }

  /// The layers that read values with a choice; other readers are judged by the value alone.
  void find_readers() {
    const auto uses = graph_.uses();
    const auto& placement = context_.placement;
    for (std::size_t i = 0; i < placement.group.size(); ++i) {
      const auto found = groups_.find(placement.group[i]);
      if (!placement.quantized[i] || found == groups_.end()) continue;
      const auto value = static_cast<ValueId>(i);
      for (const auto& use : uses[i]) {
        if (stays_in_group(use, found->first)) continue;
        auto rows = use.input == 0 ? LayerRows::make(graph_, use.node) : std::nullopt;
        if (rows) {
          readers_.push_back(reader(use.node, value, &found->second, std::move(*rows)));
        } else {
          add_error_of_value(found->first, found->second);
        }
      }
      if (graph_.is_output(value)) add_error_of_value(found->first, found->second);
    }
  }

  /// What only moves codes on.
  [[nodiscard]] bool stays_in_group(const Use& use, ValueId root) const {
    const Node& node = graph_.node(use.node);
    return !node.outputs.empty() && index(node.output()) < context_.placement.group.size() &&
           context_.placement.group[index(node.output())] == root;
  }

  void add_error_of_value(ValueId root, Group& group) const {
    const Distribution distribution(context_.group_statistics.at(root).histogram);
    const QuantParams nothing{{1e30F}, {0}, -1};
    // With a step beyond all values everything becomes 0: the error is the mean square.
    const double reference = distribution.squared_error(nothing, group.scheme);
    if (!(reference > 0)) return;
    for (std::size_t c = 0; c < group.errors.size(); ++c) {
      group.errors[c] +=
          distribution.squared_error(group.candidates[c].params, group.scheme) / reference;
    }
  }

  [[nodiscard]] LayerReader reader(NodeId id, ValueId value, const Group* group,
                                   LayerRows rows) const {
    const Node& node = graph_.node(id);
    LayerReader layer{id, value, group, std::move(rows), {}, {}, {}};
    layer.weights =
        weights_by_row(layer.rows.view(), graph_.constant(node.input(1))->data<float>());
    const Tensor* bias = node.is("MatMul") ? nullptr : graph_.constant(node.input(2));
    if (bias != nullptr && bias->size() == layer.rows.view().output_channels()) {
      const auto values = bias->values<float>();
      layer.bias.assign(values.begin(), values.end());
    }
    const auto uses = graph_.uses()[index(node.output())];
    if (uses.size() == 1 && !node.is("MatMul") && !graph_.is_output(node.output())) {
      layer.bounds =
          activation_limits(graph_, graph_.node(uses[0].node)).value_or(ActivationBounds{});
    }
    return layer;
  }

  Status measure_readers() {
    std::vector<ValueId> values;
    std::multimap<ValueId, std::size_t> by_value;
    for (std::size_t r = 0; r < readers_.size(); ++r) {
      if (!by_value.contains(readers_[r].value)) values.push_back(readers_[r].value);
      by_value.emplace(readers_[r].value, r);
    }
    if (values.empty()) return {};
    OCTET_ASSIGN(const auto program, compile_float(graph_, values));
    // By sample, so that the sums do not depend on the order in which threads take them.
    std::vector<std::vector<Sums>> sums(at(sample_limit), std::vector<Sums>(readers_.size()));
    WorkerSessions sessions(*program);
    const auto visit = [&](int worker, const Batch& batch) -> Status {
      OCTET_ASSIGN(auto* session, sessions.get(worker));
      Status status;
      const TapRequest taps{values, [&](const TapView& view) {
                              const auto [begin, end] = by_value.equal_range(view.value);
                              for (auto it = begin; it != end && status; ++it) {
                                auto found = measure(readers_[it->second], view, batch.first);
                                if (!found) status = tl::unexpected(found.error());
                                if (found) sums[at(batch.first)][it->second] = std::move(*found);
                              }
                            }};
      OCTET_TRY(session->run(batch.inputs, &taps));
      return status;
    };
    OCTET_TRY(context_.sources.samples(graph_, sample_limit, visit));
    for (std::size_t r = 0; r < readers_.size(); ++r) add_errors(r, sums);
    return {};
  }

  void add_errors(std::size_t reader, const std::vector<std::vector<Sums>>& sums) {
    auto& group = groups_.at(context_.placement.group[index(readers_[reader].value)]);
    std::vector<double> errors(group.errors.size(), 0.0);
    double reference = 0;
    for (const auto& of_sample : sums) {
      const auto& one = of_sample[reader];
      for (std::size_t c = 0; c < one.errors.size(); ++c) errors[c] += one.errors[c];
      reference += one.reference;
    }
    if (!(reference > 0)) return;
    for (std::size_t c = 0; c < errors.size(); ++c) group.errors[c] += errors[c] / reference;
  }

  Status take_best() {
    std::map<std::string_view, int> taken;
    for (const auto& [root, group] : groups_) {
      const auto best = static_cast<std::size_t>(
          std::min_element(group.errors.begin(), group.errors.end()) - group.errors.begin());
      ++taken[group.candidates[best].observer];
      auto& quantization = context_.group_quantizations.at(root);
      quantization.params = group.candidates[best].params;
      for (const auto source : context_.placement.sources) {
        if (context_.placement.group[index(source)] == root) {
          context_.model.plan.values[source] = quantization;
        }
      }
    }
    if (taken.empty()) return {};
    std::string text;
    for (const auto& [observer, count] : taken) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", observer, count);
    }
    context_.report.notes.push_back(fmt::format("ranges of observers that were taken: {}", text));
    return {};
  }

  PassContext& context_;
  const Graph& graph_;
  std::map<ValueId, Group> groups_;
  std::vector<LayerReader> readers_;
};

}  // namespace

Status choose_ranges(PassContext& context) {
  if (!context.options.choose_ranges || !context.sources.samples) return {};
  return Chooser(context).run();
}

}  // namespace octet::passes
