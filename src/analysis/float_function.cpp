#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "analysis/plan_trials.h"
#include "arithmetic/quantize.h"
#include "graph/shape_inference.h"

namespace octet {
namespace {

/// A tensor seen as [outer, first, middle, second]: two axes that carry scales.
struct TwoAxes {
  std::int64_t first = 1;
  std::int64_t second = 1;
  std::vector<std::int32_t> row;     ///< index along the first axis, by element
  std::vector<std::int32_t> column;  ///< along the second
};

TwoAxes two_axes(const Shape& shape) {
  TwoAxes axes;
  axes.first = shape[0];
  axes.second = shape.size() > 1 ? shape[1] : 1;
  const auto count = element_count(shape);
  const auto inner = count / std::max<std::int64_t>(axes.first * axes.second, 1);
  for (std::int64_t i = 0; i < count; ++i) {
    axes.row.push_back(static_cast<std::int32_t>(i / (inner * axes.second)));
    axes.column.push_back(static_cast<std::int32_t>(i / inner % axes.second));
  }
  return axes;
}

double squares(std::span<const float> values) {
  double sum = 0;
  for (const float x : values) sum += static_cast<double>(x) * static_cast<double>(x);
  return sum;
}

/// Least squares scale of each index along one axis, the other's scales given.
void fit_axis(std::span<const float> coded, std::span<const float> weights,
              const std::vector<std::int32_t>& along, const std::vector<std::int32_t>& across,
              const std::vector<double>& given, std::vector<double>& fitted) {
  std::vector<double> product(fitted.size(), 0);
  std::vector<double> square(fitted.size(), 0);
  for (std::size_t i = 0; i < coded.size(); ++i) {
    const auto a = static_cast<std::size_t>(along[i]);
    const double w = static_cast<double>(weights[i]) * given[static_cast<std::size_t>(across[i])];
    product[a] += w * static_cast<double>(coded[i]);
    square[a] += w * w;
  }
  for (std::size_t a = 0; a < fitted.size(); ++a) {
    // Codes that are all zero say nothing of a scale: the channel is left out.
    fitted[a] = square[a] > 0 ? std::max(product[a] / square[a], 0.0) : 0.0;
  }
}

struct FittedWeights {
  Tensor weights;
  std::vector<double> rows;  ///< scales along the first axis, 0: not known; empty: all 1
  std::vector<double> columns;
};

/// The float weights that `coded` came from: `original`, or that times scales by row and column.
/// nullopt where neither is near enough.
std::optional<FittedWeights> fit_weights(const Tensor& coded, const Tensor& original) {
  constexpr int rounds = 20;
  // Of the weights' power: what 2 bits leave. Weights that were changed otherwise are further away.
  constexpr double largest_error = 0.35;
  const auto q = coded.values<float>();
  const auto w = original.values<float>();
  const double power = squares(q);
  const auto distance = [&](const Tensor& weights) {
    double sum = 0;
    const auto values = weights.values<float>();
    for (std::size_t i = 0; i < q.size(); ++i) {
      const double d = static_cast<double>(q[i]) - static_cast<double>(values[i]);
      sum += d * d;
    }
    return sum;
  };
  FittedWeights plain{original, {}, {}};
  if (power == 0 || coded.rank() < 2) return plain;
  const auto axes = two_axes(coded.shape());
  std::vector<double> rows(static_cast<std::size_t>(axes.first), 1);
  std::vector<double> columns(static_cast<std::size_t>(axes.second), 1);
  for (int i = 0; i < rounds; ++i) {
    fit_axis(q, w, axes.row, axes.column, columns, rows);
    if (axes.second > 1) fit_axis(q, w, axes.column, axes.row, rows, columns);
  }
  Tensor scaled(DType::f32, original.shape());
  float* out = scaled.mutable_data<float>();
  for (std::size_t i = 0; i < q.size(); ++i) {
    out[i] =
        static_cast<float>(static_cast<double>(w[i]) * rows[static_cast<std::size_t>(axes.row[i])] *
                           columns[static_cast<std::size_t>(axes.column[i])]);
  }
  // Scales fit a little noise, too: where the weights as they are explain the codes, they are it.
  constexpr double worth = 0.5;
  const double as_is = distance(original);
  const double with_scales = distance(scaled);
  if (as_is <= largest_error * power && with_scales > worth * as_is) return plain;
  if (with_scales > largest_error * power) return std::nullopt;
  return FittedWeights{std::move(scaled), std::move(rows), std::move(columns)};
}

/// Puts the original's constants and activations into a quantized model.
class FloatFunction {
 public:
  FloatFunction(QuantizedGraph quantized, const Graph& original,
                std::vector<std::string>& unmatched)
      : model_(std::move(quantized)), original_(original), unmatched_(unmatched) {
    for (std::size_t i = 0; i < original.node_slots(); ++i) {
      const auto& node = original.node(static_cast<NodeId>(i));
      if (node.alive) by_name_[node.name] = static_cast<NodeId>(i);
    }
    producers_ = original.producers();
  }

  Result<QuantizedGraph> run() {
    OCTET_TRY(keep_codes());
    uses_ = model_.graph.uses();
    makers_ = model_.graph.producers();
    const auto slots = model_.graph.node_slots();
    for (std::size_t i = 0; i < slots; ++i) {
      const auto id = static_cast<NodeId>(i);
      if (model_.graph.node(id).alive) OCTET_TRY(restore_weights(id));
    }
    for (std::size_t i = 0; i < slots; ++i) {
      const auto id = static_cast<NodeId>(i);
      if (!model_.graph.node(id).alive) continue;
      refit_depthwise(id);
      OCTET_TRY(restore_bias(id));
    }
    for (std::size_t i = 0; i < slots; ++i) {
      const auto id = static_cast<NodeId>(i);
      if (model_.graph.node(id).alive) restore_activation(id);
    }
    OCTET_TRY(infer_shapes(model_.graph));
    return std::move(model_);
  }

 private:
  /// Codes that only follow from the constants become payloads before these change.
  Status keep_codes() {
    const auto uses = model_.graph.uses();
    for (const auto& [id, q] : model_.plan.values) {
      if (!model_.graph.value(id).is_constant() || model_.plan.payloads.contains(id)) continue;
      for (const auto& use : uses[index(id)]) {
        if (model_.plan.overrides.contains(use)) continue;
        OCTET_ASSIGN(model_.plan.payloads[id], constant_codes(model_, use));
        break;
      }
    }
    return {};
  }

  /// What the original has at the same input of the node of the same name.
  [[nodiscard]] const Tensor* original_constant(const Node& node, std::size_t input) const {
    const auto it = by_name_.find(node.name);
    if (it == by_name_.end()) return nullptr;
    const auto& same = original_.node(it->second);
    if (same.op != node.op) return nullptr;
    const auto* constant = original_.constant(same.input(input));
    return constant != nullptr && constant->dtype() == DType::f32 ? constant : nullptr;
  }

  [[nodiscard]] bool is_coded_constant(const Node& node, std::size_t input) const {
    const auto id = node.input(input);
    return id != ValueId::none && model_.graph.value(id).is_constant() &&
           model_.plan.values.contains(id) && model_.plan.payloads.contains(id);
  }

  static bool is_layer(const Node& node) {
    return node.is("Conv") || node.is("Gemm") || node.is("MatMul") || node.is("ConvTranspose");
  }

  /// All coded constants but the biases of layers.
  Status restore_weights(NodeId id) {
    const Node node = model_.graph.node(id);
    for (std::size_t i = 0; i < std::min<std::size_t>(node.inputs.size(), 3); ++i) {
      if (!is_coded_constant(node, i) || (is_layer(node) && i == 2)) continue;
      const auto value = node.inputs[i];
      OCTET_ASSIGN(auto coded,
                   dequantize(model_.plan.payloads.at(value), model_.plan.values.at(value).params));
      const auto* original = original_constant(node, i);
      const bool fits = original != nullptr && original->shape() == coded.shape();
      auto fitted = fits ? fit_weights(coded, *original) : std::nullopt;
      model_.graph.value(value).constant = fitted ? fitted->weights : std::move(coded);
      if (!is_layer(node) || i != 1) continue;
      if (!fitted) unmatched_.push_back(node.name);
      if (fitted) fits_[id] = std::move(*fitted);
    }
    return {};
  }

  /// A channel of a depthwise layer has a handful of weights, and few codes where its range is
  /// small: its scale shows better in the layers before and behind, which have many.
  void refit_depthwise(NodeId id) {
    const auto it = fits_.find(id);
    const Node& node = model_.graph.node(id);
    if (it == fits_.end() || !is_depthwise(node) || it->second.rows.empty()) return;
    const auto made = scales_by_reader(node.output());
    const auto read = scales_by_maker(node.input(0));
    auto& rows = it->second.rows;
    if (!made || !read || made->size() != rows.size() || read->size() != rows.size()) return;
    const auto* original = original_constant(node, 1);
    std::vector<double> powers(rows.size(), 0);
    const auto inner = static_cast<std::size_t>(original->size()) / rows.size();
    for (std::size_t i = 0; i < inner * rows.size(); ++i) {
      powers[i / inner] += std::pow(static_cast<double>(original->data<float>()[i]), 2);
    }
    double product = 0;
    double square = 0;
    std::vector<double> ratios(rows.size(), 0);
    for (std::size_t c = 0; c < rows.size(); ++c) {
      if ((*read)[c] > 0) ratios[c] = (*made)[c] / (*read)[c];
      product += ratios[c] * rows[c] * powers[c];
      square += ratios[c] * ratios[c] * powers[c];
    }
    if (square <= 0 || product <= 0) return;
    Tensor weights = *original;
    float* w = weights.mutable_data<float>();
    for (std::size_t c = 0; c < rows.size(); ++c) {
      if (ratios[c] > 0) rows[c] = ratios[c] * product / square;
      for (std::size_t i = c * inner; i < (c + 1) * inner; ++i) {
        w[i] = static_cast<float>(static_cast<double>(w[i]) * rows[c]);
      }
    }
    model_.graph.value(node.inputs[1]).constant = std::move(weights);
  }

  static bool is_depthwise(const Node& node) {
    return node.is("Conv") && node.int_attribute("group", 1) > 1;
  }

  /// Scales of a value by the weights that make it.
  [[nodiscard]] std::optional<std::vector<double>> scales_by_maker(ValueId value) const {
    const auto maker = makers_[index(value)];
    if (maker == NodeId::none) return std::nullopt;
    const Node& node = model_.graph.node(maker);
    if (node.is("Relu") || node.is("Clip")) return scales_by_maker(node.input(0));
    const auto it = fits_.find(maker);
    if (it == fits_.end() || is_depthwise(node)) return std::nullopt;
    return outputs_last(node) ? it->second.columns : it->second.rows;
  }

  Status restore_bias(NodeId id) {
    const Node node = model_.graph.node(id);
    if (!is_layer(node) || !is_coded_constant(node, 2)) return {};
    const auto value = node.inputs[2];
    OCTET_ASSIGN(auto coded,
                 dequantize(model_.plan.payloads.at(value), model_.plan.values.at(value).params));
    const auto* original = original_constant(node, 2);
    const bool fits = original != nullptr && original->shape() == coded.shape();
    const auto scales = fits ? output_scales(id) : std::nullopt;
    if (scales && scales->empty()) coded = *original;
    if (scales && !scales->empty()) coded = scaled_bias(coded, *original, *scales);
    model_.graph.value(value).constant = std::move(coded);
    return {};
  }

  /// What equalization multiplied a layer's output channels with, up to one common factor; empty:
  /// nothing; nullopt: not known.
  [[nodiscard]] std::optional<std::vector<double>> output_scales(NodeId id) const {
    const auto it = fits_.find(id);
    if (it == fits_.end()) return std::nullopt;
    const Node& node = model_.graph.node(id);
    const bool depthwise = is_depthwise(node);
    if (!depthwise && it->second.rows.empty()) return std::vector<double>();
    if (!depthwise) return outputs_last(node) ? it->second.columns : it->second.rows;
    return scales_by_reader(node.output());
  }

  static bool outputs_last(const Node& node) {
    return node.is("MatMul") || node.is("ConvTranspose") ||
           (node.is("Gemm") && node.int_attribute("transB", 0) == 0);
  }

  /// A depthwise layer's weights only show the quotient of its scales; its reader's show those of
  /// its output.
  [[nodiscard]] std::optional<std::vector<double>> scales_by_reader(ValueId value) const {
    for (const auto& use : uses_[index(value)]) {
      const Node& reader = model_.graph.node(use.node);
      if (reader.is("Relu") || reader.is("Clip")) return scales_by_reader(reader.output());
      const auto it = fits_.find(use.node);
      if (it == fits_.end() || (reader.is("Conv") && reader.int_attribute("group", 1) > 1))
        continue;
      auto scales = outputs_last(reader) ? it->second.rows : it->second.columns;
      for (auto& scale : scales) scale = scale > 0 ? 1 / scale : 0;
      return scales;
    }
    return std::nullopt;
  }

  /// The factor common to all channels is that with which the bias fits best.
  static Tensor scaled_bias(const Tensor& coded, const Tensor& original,
                            const std::vector<double>& scales) {
    const auto b = original.values<float>();
    const auto q = coded.values<float>();
    if (scales.size() != b.size()) return coded;
    double product = 0;
    double square = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      const double x = static_cast<double>(b[i]) * scales[i];
      product += x * static_cast<double>(q[i]);
      square += x * x;
    }
    const double common = square > 0 && product > 0 ? product / square : 1.0;
    Tensor out(DType::f32, original.shape());
    for (std::size_t i = 0; i < b.size(); ++i) {
      const double x = static_cast<double>(b[i]) * scales[i] * common;
      out.mutable_data<float>()[i] = scales[i] > 0 ? static_cast<float>(x) : q[i];
    }
    return out;
  }

  /// The Relu or Clip that the saturation of codes stands for, as the original has it before the
  /// value.
  void restore_activation(NodeId id) {
    Graph& graph = model_.graph;
    const auto value = graph.node(id).output();
    if (value == ValueId::none || graph.node(id).outputs.size() != 1) return;
    const auto same = original_.find_value(graph.value(value).name);
    if (same == ValueId::none || producers_[index(same)] == NodeId::none) return;
    const Node& activation = original_.node(producers_[index(same)]);
    if (!activation.is("Relu") && !activation.is("Clip")) return;
    if (graph.node(id).is("Relu") || graph.node(id).is("Clip")) return;
    Value before;
    before.name = graph.value(value).name + "_unlimited";
    before.dtype = graph.value(value).dtype;
    before.shape = graph.value(value).shape;
    Node copy = activation;
    copy.inputs = {graph.add_value(std::move(before))};
    copy.outputs = {value};
    for (std::size_t i = 1; i < activation.inputs.size(); ++i) {
      const auto* bound = original_.constant(activation.inputs[i]);
      copy.inputs.push_back(bound == nullptr ? ValueId::none
                                             : graph.add_constant(copy.name + "_bound", *bound));
    }
    graph.node(id).outputs[0] = copy.inputs[0];
    graph.add_node(std::move(copy));
  }

  QuantizedGraph model_;
  const Graph& original_;
  std::vector<std::string>& unmatched_;
  std::map<std::string, NodeId> by_name_;
  std::vector<NodeId> producers_;       ///< of the original's values
  std::vector<std::vector<Use>> uses_;  ///< of the model's values
  std::vector<NodeId> makers_;          ///< likewise
  std::map<NodeId, FittedWeights> fits_;
};

}  // namespace

Result<QuantizedGraph> float_function(QuantizedGraph quantized, const Graph& original,
                                      std::vector<std::string>& unmatched) {
  return FloatFunction(std::move(quantized), original, unmatched).run();
}

}  // namespace octet
