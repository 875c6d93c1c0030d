#include <algorithm>
#include <map>
#include <set>

#include "arithmetic/quantize.h"
#include "core/progress.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "passes/integer_rules.h"
#include "passes/layer_bits.h"
#include "passes/layer_rows.h"
#include "passes/passes.h"
#include "passes/refine_blocks.h"
#include "passes/round_layer.h"
#include "passes/sample_store.h"

// Rounding by reconstruction: layer after layer, in the order in which they compute, the weight
// codes, their scales and the bias are chosen so that the layer gives on samples what the float
// model has there. The inputs are those that the integer engine computes with the layers before as
// they have been rounded, so that each layer also makes up for what those got wrong (asymmetric
// reconstruction: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training
// Quantization", section 3.4). Where a layer's result is added to another value, the sum is what is
// reconstructed. With RoundingScope::block the layers of a block are decided once more together, by
// the error behind it.

namespace octet::passes {
namespace {

/// Samples, and bytes of them, that are kept decoded.
constexpr std::int64_t sample_limit = 1024;
constexpr std::size_t sample_bytes = std::size_t{256} << 20;
/// Rows of a layer, of all samples together, and bytes of their inputs.
constexpr std::int64_t most_rows = 16384;
constexpr std::int64_t row_bytes = std::int64_t{96} << 20;
/// Bytes of float outputs that one sweep gathers for the layers to come.
constexpr std::int64_t target_bytes = std::int64_t{192} << 20;
/// Rows for each input of an output channel with which weights can be fitted to them.
constexpr std::int64_t least_rows = 2;
/// Inputs of an output channel beyond which moments would take too much memory and time.
constexpr std::int64_t longest_row = 4608;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

using BySample = std::vector<std::vector<float>>;

struct Layer {
  NodeId id = NodeId::none;
  LayerRows rows;
  std::int64_t positions = 0;      ///< drawn of each sample, at most
  ValueId target = ValueId::none;  ///< what is reconstructed: the layer's output, or a sum
  ValueId addend = ValueId::none;  ///< the sum's other operand
  BySample outputs;                ///< of the float model
};

class Rounder {
 public:
  explicit Rounder(PassContext& context)
      : context_(context),
        float_graph_(context.model.graph),
        store_(context.sources.samples, float_graph_, sample_limit, sample_bytes) {}

  Status run() {
    OCTET_TRY(find_layers());
    if (!layers_.empty()) {
      OCTET_ASSIGN(samples_, store_.read());
      OCTET_TRY(find_blocks());
    }
    for (std::size_t first = 0; first < layers_.size();) {
      const auto last = first + layers_of_one_sweep(first);
      OCTET_TRY(read_targets(first, last));
      for (; first < last; ++first) {
        OCTET_TRY(check_cancel());
        if (auto status = round(layers_[first]); !status) {
          const auto& name = context_.model.graph.node(layers_[first].id).name;
          return tl::unexpected(status.error().with_context(name));
        }
        if (blocks_) OCTET_TRY(blocks_->layer_done(layers_[first].id));
        layers_[first].outputs = {};
      }
    }
    if (left_ > 0) {
      context_.report.notes.push_back(fmt::format(
          "{} layer{} not rounded by samples, whose kind, few rows or large biases do not allow it",
          left_, left_ == 1 ? "" : "s"));
    }
    if (blocks_) blocks_->report();
    return {};
  }

 private:
  Status find_blocks() {
    if (context_.options.rounding_scope != RoundingScope::block) return {};
    std::vector<NodeId> ids;
    for (const auto& layer : layers_) ids.push_back(layer.id);
    blocks_.emplace(context_, float_graph_, store_, samples_);
    return blocks_->find(ids);
  }

  Status find_layers() {
    const Graph& graph = context_.model.graph;
    OCTET_ASSIGN(const auto order, graph.topological_order());
    const auto wanted = context_.accumulate_nodes();
    const std::set<NodeId> accumulate(wanted.begin(), wanted.end());
    const auto uses = graph.uses();
    for (const auto id : order) {
      if (!accumulate.contains(id)) continue;
      const Node& node = graph.node(id);
      auto rows = LayerRows::make(graph, id);
      const bool usable = rows && rows->row_length() <= longest_row &&
                          uses[index(node.input(1))].size() == 1 && reads_codes(id);
      if (!usable) {
        ++left_;
        continue;
      }
      Layer layer{id, std::move(*rows), 0, node.output(), ValueId::none, {}};
      const auto length = layer.rows.row_length() * layer.rows.view().groups;
      layer.positions = std::clamp(row_bytes / (4 * length), std::int64_t{1}, most_rows);
      layers_.push_back(std::move(layer));
      pending_.insert(id);
    }
    return {};
  }

  /// As many as have their targets in target_bytes.
  [[nodiscard]] std::size_t layers_of_one_sweep(std::size_t first) const {
    std::int64_t bytes = 0;
    std::size_t count = 0;
    while (first + count < layers_.size()) {
      const auto& layer = layers_[first + count];
      bytes += layer.positions * layer.rows.view().output_channels() * 4;
      if (count > 0 && bytes > target_bytes) break;
      ++count;
    }
    return count;
  }

  /// Positions of one sample: the rows are shared out evenly.
  [[nodiscard]] std::vector<std::int64_t> draw(const Layer& layer, std::int64_t total,
                                               std::int64_t sample) const {
    const auto count = std::max<std::int64_t>(1, layer.positions / samples_);
    const auto seed =
        static_cast<std::uint64_t>(index(layer.id)) * 1000003 + static_cast<std::uint64_t>(sample);
    return draw_positions(total, count, seed);
  }

  /// The sum that the layer's result alone goes into, when its other operand is final.
  void find_sum(Layer& layer) const {
    const Graph& graph = context_.model.graph;
    const auto uses = graph.uses();
    const auto output = graph.node(layer.id).output();
    layer.target = output;
    layer.addend = ValueId::none;
    if (uses[index(output)].size() != 1 || graph.is_output(output)) return;
    const Use use = uses[index(output)][0];
    const Node& add = graph.node(use.node);
    if (!add.is("Add") || add.inputs.size() != 2) return;
    const auto other = add.input(static_cast<std::size_t>(1 - use.input));
    const auto& shape = graph.value(other).shape;
    if (other == output || graph.constant(other) != nullptr || graph.is_input(other)) return;
    if (!shape || !graph.value(output).shape || *shape != *graph.value(output).shape) return;
    layer.target = add.output();
    layer.addend = other;
  }

  /// Whether a layer that is not rounded yet takes part in a value.
  [[nodiscard]] bool awaits_layers(ValueId value) const {
    const Graph& graph = context_.model.graph;
    const auto producers = graph.producers();
    std::set<NodeId> seen;
    std::vector<ValueId> todo{value};
    while (!todo.empty()) {
      const auto producer = producers[index(todo.back())];
      todo.pop_back();
      if (producer == NodeId::none || !seen.insert(producer).second) continue;
      if (pending_.contains(producer)) return true;
      for (const auto input : graph.node(producer).inputs) {
        if (input != ValueId::none) todo.push_back(input);
      }
    }
    return false;
  }

  Status read_targets(std::size_t first, std::size_t last) {
    std::multimap<ValueId, Layer*> by_value;
    std::set<NodeId> before = pending_;
    for (auto i = first; i < last; ++i) {
      auto& layer = layers_[i];
      find_sum(layer);
      pending_.erase(layer.id);
      if (layer.addend != ValueId::none && awaits_layers(layer.addend)) {
        layer.target = context_.model.graph.node(layer.id).output();
        layer.addend = ValueId::none;
      }
      layer.outputs.assign(at(sample_limit), {});
      by_value.emplace(layer.target, &layer);
    }
    pending_ = std::move(before);
    for (auto i = first; i < last; ++i) pending_.erase(layers_[i].id);
    std::vector<ValueId> values;
    for (const auto& [value, layer] : by_value) {
      if (values.empty() || values.back() != value) values.push_back(value);
    }
    Graph graph = float_graph_;
    graph.outputs = values;
    graph.remove_dead_nodes();
    OCTET_ASSIGN(const auto program, compile_float(graph, values));
    return store_.sweep(*program, values, [&](std::int64_t sample, const TapView& view) {
      const auto [begin, end] = by_value.equal_range(view.value);
      for (auto it = begin; it != end; ++it) {
        Layer& layer = *it->second;
        const auto channels = layer.rows.view().output_channels();
        const auto total = element_count(view.shape) / std::max<std::int64_t>(channels, 1);
        const auto drawn = draw(layer, total, sample);
        layer.outputs[at(sample)] = layer.rows.outputs(view, nullptr, drawn);
      }
    });
  }

  /// The quantized model as far as these values.
  Result<std::unique_ptr<Program>> compile_up_to(const std::vector<ValueId>& values) const {
    OCTET_ASSIGN(auto model, with_bias_codes(context_));
    model.graph.outputs = values;
    model.graph.remove_dead_nodes();
    return compile_integer(model);
  }

  /// Whether the layer's input has codes, those of its own or fewer.
  [[nodiscard]] bool reads_codes(NodeId id) const {
    const auto& plan = context_.model.plan;
    const auto* read = plan.find(context_.model.graph, {id, 0});
    return read != nullptr && !is_dynamic(*read) &&
           plan.values.contains(context_.model.graph.node(id).input(0));
  }

  /// What codes of fewer bits leave of the value, where the layer reads it so.
  Status narrow(NodeId id, std::vector<float>& rows) const {
    const auto found = context_.model.plan.overrides.find({id, 0});
    if (found == context_.model.plan.overrides.end()) return {};
    const auto count = static_cast<std::int64_t>(rows.size());
    OCTET_ASSIGN(const auto image, fake_quantize(Tensor::from<float>(std::move(rows), {count}),
                                                 found->second.params, found->second.scheme));
    rows.assign(image.values<float>().begin(), image.values<float>().end());
    return {};
  }

  Status round(Layer& layer) {
    const Node node = context_.model.graph.node(layer.id);
    std::vector<ValueId> ends{node.output()};
    std::vector<ValueId> taps{node.input(0)};
    if (layer.addend != ValueId::none) {
      ends.push_back(layer.addend);
      taps.push_back(layer.addend);
    }
    OCTET_ASSIGN(const auto program, compile_up_to(ends));
    BySample inputs(at(sample_limit));
    BySample addends(at(sample_limit));
    const auto& plan = context_.model.plan;
    OCTET_TRY(store_.sweep(*program, taps, [&](std::int64_t sample, const TapView& view) {
      const auto* quantization = plan.find(view.value);
      if (view.value == node.input(0)) {
        const auto drawn = draw(layer, layer.rows.positions(view), sample);
        inputs[at(sample)] = layer.rows.inputs(view, quantization, drawn);
      }
      if (view.value == layer.addend) {
        const auto channels = layer.rows.view().output_channels();
        const auto drawn = draw(layer, element_count(view.shape) / channels, sample);
        addends[at(sample)] = layer.rows.outputs(view, quantization, drawn);
      }
    }));
    for (auto& rows : inputs) OCTET_TRY(narrow(layer.id, rows));
    return decide(layer, gather(layer, inputs, addends));
  }

  /// The rows of all samples by group.
  static LayerSamples gather(const Layer& layer, const BySample& inputs, const BySample& addends) {
    const auto& view = layer.rows.view();
    const auto length = layer.rows.row_length();
    LayerSamples all;
    std::vector<std::int64_t> rows(inputs.size(), 0);
    for (std::size_t s = 0; s < inputs.size(); ++s) {
      const auto count = static_cast<std::int64_t>(inputs[s].size()) / (view.groups * length);
      const auto outputs = layer.outputs[s].size();
      const bool complete = outputs == at(count * view.output_channels()) &&
                            (layer.addend == ValueId::none || addends[s].size() == outputs);
      rows[s] = complete ? count : 0;
      all.rows += rows[s];
    }
    all.inputs.reserve(at(view.groups * all.rows * length));
    all.outputs.reserve(at(view.output_channels() * all.rows));
    for (std::int64_t g = 0; g < view.groups; ++g) {
      for (std::size_t s = 0; s < inputs.size(); ++s) {
        const auto* from = inputs[s].data() + g * rows[s] * length;
        all.inputs.insert(all.inputs.end(), from, from + rows[s] * length);
        const auto first = at(g * rows[s] * view.outputs);
        for (std::size_t i = first; i < first + at(rows[s] * view.outputs); ++i) {
          const float addend = layer.addend == ValueId::none ? 0.0F : addends[s][i];
          all.outputs.push_back(layer.outputs[s][i] - addend);
          if (layer.addend != ValueId::none) all.addends.push_back(addend);
        }
      }
    }
    return all;
  }

  /// Bounds of the Relu or Clip that alone reads a value.
  [[nodiscard]] ActivationBounds activation_behind(ValueId value) const {
    const Graph& graph = context_.model.graph;
    const auto uses = graph.uses()[index(value)];
    if (uses.size() != 1 || graph.is_output(value)) return {};
    return activation_limits(graph, graph.node(uses[0].node)).value_or(ActivationBounds{});
  }

  Status decide(const Layer& layer, const LayerSamples& samples) {
    Graph& graph = context_.model.graph;
    auto& plan = context_.model.plan;
    const auto weight = graph.node(layer.id).input(1);
    auto& quantization = plan.values.at(weight);
    if (samples.rows < least_rows * layer.rows.row_length()) {
      ++left_;
      return {};
    }
    LayerProblem problem;
    problem.view = layer.rows.view();
    problem.weight = graph.constant(weight);
    problem.scale = quantization.params.scale;
    problem.least_scale = least_weight_scales(context_, layer.id);
    problem.limits = {static_cast<std::int32_t>(quantization.scheme.qmin()),
                      static_cast<std::int32_t>(quantization.scheme.qmax())};
    problem.free_bias = !graph.node(layer.id).is("MatMul");
    if (problem.free_bias) {
      const auto bounds = activation_behind(layer.target);
      problem.low = bounds.low;
      problem.high = bounds.high;
    }
    OCTET_ASSIGN(auto rounding, round_layer(problem, samples));
    return take(layer, std::move(rounding));
  }

  /// Unless the accumulators have no room for it.
  Status take(const Layer& layer, LayerRounding rounding) {
    Graph& graph = context_.model.graph;
    auto& plan = context_.model.plan;
    const auto weight = graph.node(layer.id).input(1);
    Tensor* bias = nullptr;
    if (!rounding.bias.empty()) {
      const auto channels = static_cast<std::int64_t>(rounding.bias.size());
      OCTET_ASSIGN(const auto id, own_bias(graph, layer.id, channels));
      bias = &*graph.value(id).constant;
    }
    const Tensor float_bias = bias == nullptr ? Tensor() : *bias;
    if (bias != nullptr) *bias = Tensor::from<float>(std::move(rounding.bias), bias->shape());
    auto& scale = plan.values.at(weight).params.scale;
    auto& codes = plan.payloads.at(weight);
    std::swap(scale, rounding.scale);
    std::swap(codes, rounding.codes);
    if (accumulators_fit(context_, layer.id)) {
      context_.rounded.insert(layer.id);
      if (bias != nullptr) context_.float_biases[layer.id] = float_bias;
      return {};
    }
    std::swap(scale, rounding.scale);
    std::swap(codes, rounding.codes);
    if (bias != nullptr) *bias = float_bias;
    ++left_;
    return {};
  }

  PassContext& context_;
  const Graph float_graph_;
  SampleStore store_;
  std::vector<Layer> layers_;
  std::set<NodeId> pending_;  ///< layers that are still to be rounded
  std::optional<BlockRefiner> blocks_;
  std::int64_t samples_ = 0;
  int left_ = 0;
};

}  // namespace

Status round_weights(PassContext& context) {
  if (!context.options.learn_rounding) return {};
  if (!context.sources.samples) {
    context.report.notes.emplace_back("weights are rounded to the nearest: there are no samples");
    return {};
  }
  return Rounder(context).run();
}

}  // namespace octet::passes
