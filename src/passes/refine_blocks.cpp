#include "passes/refine_blocks.h"

#include <fmt/ranges.h>

#include <algorithm>

#include "arithmetic/quantize.h"
#include "engine/float/float_op.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"

namespace octet {
namespace {

/// Bytes of a block's inputs and targets: of larger ones fewer samples are taken.
constexpr std::int64_t most_bytes = std::int64_t{256} << 20;
/// Samples with which a block may be learned.
constexpr std::size_t least_samples = 16;
constexpr int whole_bits = 8;

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Elements of a value for one sample; 0 where an extent is unknown.
std::int64_t elements_of_sample(const Graph& graph, ValueId value) {
  const auto& shape = graph.value(value).shape;
  if (!shape || shape->empty() || !is_static({shape->begin() + 1, shape->end()})) return 0;
  return element_count({shape->begin() + 1, shape->end()});
}

/// What a tap sees, as f32 in the order of its shape.
Result<Tensor> reals(const TapView& view, const Quantization* quantization) {
  Tensor tensor;
  if (view.codes.empty()) {
    tensor = Tensor::from(view.values, view.shape);
  } else {
    OCTET_ASSIGN(tensor, dequantize(Tensor::from(view.codes, view.shape), quantization->params));
  }
  return to_plain({tensor, view.channels_last}).tensor;
}

}  // namespace

Status BlockRefiner::find(const std::vector<NodeId>& layers) {
  const Graph& graph = context_.model.graph;
  OCTET_ASSIGN(const auto order, graph.topological_order());
  std::set<NodeId> few_bits;
  for (const auto id : layers) {
    if (context_.weight_bits(id) < whole_bits) few_bits.insert(id);
  }
  for (auto& block : find_blocks(graph, order, few_bits)) {
    const auto last = std::find_if(block.nodes.rbegin(), block.nodes.rend(), [&](NodeId id) {
      return std::find(layers.begin(), layers.end(), id) != layers.end();
    });
    blocks_[*last] = std::move(block);
  }
  return {};
}

Status BlockRefiner::layer_done(NodeId layer) {
  const auto found = blocks_.find(layer);
  if (found == blocks_.end()) return {};
  auto status = refine(found->second);
  if (status || status.error().kind == ErrorKind::cancelled) return status;
  const auto& exit = context_.model.graph.value(found->second.exit).name;
  left_.push_back(fmt::format("{} ({})", exit, status.error().message));
  return {};
}

void BlockRefiner::report() const {
  auto& notes = context_.report.notes;
  notes.push_back(fmt::format(
      "{} of {} blocks rounded by the error behind them: {} codes moved, and the error fell by "
      "{:.1f} % on average",
      refined_, blocks_.size(), moved_, refined_ == 0 ? 0.0 : 100 * fall_ / refined_));
  if (left_.empty()) return;
  notes.push_back(fmt::format("layers rounded one by one instead of by their block, up to: {}",
                              fmt::join(left_, ", ")));
}

Status BlockRefiner::refine(const Block& block) {
  const auto layers = layers_of(block);
  if (layers.empty()) return {};
  OCTET_ASSIGN(const auto graph, BlockGraph::make(context_.model, block));
  OCTET_ASSIGN(const auto samples, samples_of(block));
  OCTET_ASSIGN(auto rounding, round_block(graph, layers, samples));
  if (rounding.error < rounding.error_before) take(block, layers, std::move(rounding));
  return {};
}

std::vector<BlockLayer> BlockRefiner::layers_of(const Block& block) const {
  const Graph& graph = context_.model.graph;
  const auto& plan = context_.model.plan;
  std::vector<BlockLayer> layers;
  for (const auto id : block.layers) {
    if (!context_.rounded.contains(id)) continue;
    const Node& node = graph.node(id);
    const auto weight = node.input(1);
    const auto& quantization = plan.values.at(weight);
    BlockLayer layer;
    layer.node = id;
    layer.view = view_of(node, *graph.constant(weight));
    layer.weight = weight;
    layer.bias = node.input(2);
    layer.float_weight = *graph.constant(weight);
    layer.codes = plan.payloads.at(weight);
    layer.scale = quantization.params.scale;
    layer.limits = {static_cast<std::int32_t>(quantization.scheme.qmin()),
                    static_cast<std::int32_t>(quantization.scheme.qmax())};
    layers.push_back(std::move(layer));
  }
  return layers;
}

Result<BlockSamples> BlockRefiner::samples_of(const Block& block) const {
  const Graph& graph = context_.model.graph;
  const auto in = elements_of_sample(graph, block.entry);
  const auto out = elements_of_sample(graph, block.exit);
  if (in == 0 || out == 0) return bad_input("its extents depend on the input");
  const auto room = std::max<std::int64_t>(1, most_bytes / (4 * (in + out)));
  const auto stride = (samples_ + room - 1) / room;
  OCTET_ASSIGN(auto entries, inputs(block, stride));
  OCTET_ASSIGN(auto exits, targets(block, stride));
  BlockSamples samples;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    if (entries[i].size() != in || exits[i].size() != out) continue;
    samples.inputs.push_back(std::move(entries[i]));
    samples.targets.push_back(std::move(exits[i]));
  }
  if (samples.inputs.size() < least_samples) return bad_input("too few samples");
  return samples;
}

/// From the quantized model. By sample, one in `stride`; empty where one could not be decoded.
Result<std::vector<Tensor>> BlockRefiner::inputs(const Block& block, std::int64_t stride) const {
  OCTET_ASSIGN(auto model, with_bias_codes(context_));
  model.graph.outputs = {block.exit};
  model.graph.remove_dead_nodes();
  OCTET_ASSIGN(const auto program, compile_integer(model));
  return sweep(*program, block.entry, model.plan.find(block.entry), stride);
}

Result<std::vector<Tensor>> BlockRefiner::targets(const Block& block, std::int64_t stride) const {
  Graph graph = float_graph_;
  graph.outputs = {block.exit};
  graph.remove_dead_nodes();
  OCTET_ASSIGN(const auto program, compile_float(graph, std::vector{block.exit}));
  return sweep(*program, block.exit, nullptr, stride);
}

Result<std::vector<Tensor>> BlockRefiner::sweep(const Program& program, ValueId value,
                                                const Quantization* quantization,
                                                std::int64_t stride) const {
  std::vector<Tensor> found(at((samples_ + stride - 1) / stride));
  std::vector<Status> failed(found.size());
  OCTET_TRY(store_.sweep(program, {value}, [&](std::int64_t sample, const TapView& view) {
    if (sample % stride != 0 || at(sample / stride) >= found.size()) return;
    auto tensor = reals(view, quantization);
    if (tensor) {
      found[at(sample / stride)] = std::move(*tensor);
    } else {
      failed[at(sample / stride)] = tl::unexpected(tensor.error());
    }
  }));
  for (auto& status : failed) OCTET_TRY(std::move(status));
  return found;
}

/// Unless the accumulators of a layer have no room for it.
void BlockRefiner::take(const Block& block, const std::vector<BlockLayer>& layers,
                        BlockRounding rounding) {
  const auto swap_all = [&] {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      std::swap(context_.model.plan.payloads.at(layers[i].weight), rounding.codes[i]);
      if (layers[i].bias == ValueId::none) continue;
      std::swap(*context_.model.graph.value(layers[i].bias).constant, rounding.biases[i]);
    }
  };
  swap_all();
  const bool fit = std::all_of(layers.begin(), layers.end(), [&](const BlockLayer& layer) {
    return accumulators_fit(context_, layer.node);
  });
  if (!fit) {
    swap_all();
    left_.push_back(fmt::format("{} (large biases)", context_.model.graph.value(block.exit).name));
    return;
  }
  ++refined_;
  moved_ += rounding.moved;
  fall_ += 1 - rounding.error / rounding.error_before;
}

}  // namespace octet
