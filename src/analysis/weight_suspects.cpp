#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "analysis/suspects.h"
#include "arithmetic/quantize.h"

namespace octet {
namespace {

/// A layer's weights: input 1, float and as codes.
struct Weights {
  const IntegerLayer* layer = nullptr;
  ValueId value = ValueId::none;
  const Tensor* real = nullptr;
  const Quantization* quantization = nullptr;
  Tensor codes;
  double sqnr_db = 0;
  std::size_t distinct = 0;  ///< codes that occur
  double channel_ratio = 1;  ///< largest range of an output channel over their median
  [[nodiscard]] bool one_scale() const { return quantization->params.count() == 1; }
};

Result<std::vector<Weights>> weights_of(const DiagnosisInput& input) {
  std::vector<Weights> all;
  for (const auto& layer : input.layers) {
    const Use use{layer.nodes.front(), 1};
    const Node& node = input.model.graph.node(use.node);
    const int axis = weight_axis(node);
    const auto* real = input.model.graph.constant(node.input(1));
    const auto* q = input.model.plan.find(input.model.graph, use);
    if (axis < 0 || real == nullptr || q == nullptr || real->dtype() != DType::f32) continue;
    if (axis >= real->rank() || is_dynamic(*q)) continue;
    Weights weights{&layer, node.input(1), real, q, {}, 0, 0, 1};
    OCTET_ASSIGN(weights.codes, constant_codes(input.model, use));
    OCTET_ASSIGN(const auto coded, dequantize(weights.codes, q->params));
    weights.sqnr_db = [&] {
      double signal = 0;
      double noise = 0;
      for (std::int64_t i = 0; i < real->size(); ++i) {
        const auto w = static_cast<double>(real->data<float>()[i]);
        signal += w * w;
        noise += std::pow(w - static_cast<double>(coded.data<float>()[i]), 2);
      }
      return noise > 0 ? 10 * std::log10(signal / noise) : std::numeric_limits<double>::infinity();
    }();
    OCTET_ASSIGN(const auto numbers, to_int64(weights.codes));
    weights.distinct = std::set<std::int64_t>(numbers.begin(), numbers.end()).size();
    weights.channel_ratio = largest_over_median(ranges_along(*real, axis));
    all.push_back(std::move(weights));
  }
  return all;
}

std::string size_text(const Weights& weights) {
  return fmt::format("{} distinct codes in {} weights, SQNR of the weights {:.1f} dB",
                     weights.distinct, weights.codes.size(), weights.sqnr_db);
}

/// The layer's bias becomes float, and loses what was corrected in it.
void free_bias(const QuantizedGraph& model, const IntegerLayer& layer, QuantPlan& plan) {
  for (const auto id : layer.nodes) {
    const Node& part = model.graph.node(id);
    for (std::size_t i = id == layer.nodes.front() ? 2 : 0; i < part.inputs.size(); ++i) {
      const auto bias = part.inputs[i];
      const auto* coded = bias == ValueId::none ? nullptr : plan.find(bias);
      if (coded == nullptr || model.graph.constant(bias) == nullptr) continue;
      if (coded->scheme.bits <= 16) continue;
      plan.values.erase(bias);
      plan.payloads.erase(bias);
    }
  }
}

/// Layers whose weights keep few bits, one by one where they are the exception.
Status find_few_bits(const DiagnosisInput& input, const std::vector<Weights>& all,
                     std::vector<Suspect>& out) {
  constexpr std::size_t few_codes = 16;  // what 4 bits have
  constexpr std::int64_t least_weights = 64;
  constexpr double low_db = 24;
  constexpr std::size_t most_named = 3;
  std::vector<const Weights*> few;
  for (const auto& weights : all) {
    const bool coarse = weights.distinct <= few_codes && weights.codes.size() >= least_weights;
    if (coarse && weights.sqnr_db < low_db) few.push_back(&weights);
  }
  std::sort(few.begin(), few.end(),
            [](const auto* a, const auto* b) { return a->sqnr_db < b->sqnr_db; });
  if (few.empty()) return {};
  if (2 * few.size() > all.size() || few.size() > most_named) {
    Suspect suspect{
        "weight_bits",
        few.front()->layer->name,
        fmt::format("the weights of {} of {} layers have few bits", few.size(), all.size()),
        {fmt::format("{}: {}", few.front()->layer->name, size_text(*few.front()))},
        {"--weights", "int8"},
        PlanTrial{"weights of 8 bits", input.model.plan}};
    for (const auto* weights : few) {
      const int axis = weights->one_scale() ? -1 : weights->quantization->params.axis;
      OCTET_TRY(requantize_weights(input.model, *weights->layer, 8, axis, suspect.remedy->plan));
    }
    // Biases of the others were corrected for what the few bits before them do to means.
    for (const auto& weights : all) free_bias(input.model, *weights.layer, suspect.remedy->plan);
    out.push_back(std::move(suspect));
    return {};
  }
  for (const auto* weights : few) {
    const int bits = static_cast<int>(std::ceil(std::log2(static_cast<double>(weights->distinct))));
    Suspect suspect{"weight_bits",
                    weights->layer->name,
                    fmt::format("the weights of {} have only about {} bits", weights->layer->name,
                                std::max(bits, 1)),
                    {size_text(*weights)},
                    {},
                    PlanTrial{"weights of 8 bits", input.model.plan}};
    const int axis = weights->one_scale() ? -1 : weights->quantization->params.axis;
    OCTET_TRY(requantize_weights(input.model, *weights->layer, 8, axis, suspect.remedy->plan));
    out.push_back(std::move(suspect));
  }
  return {};
}

/// One scale for channels of very different range.
Status find_channel_ranges(const DiagnosisInput& input, const std::vector<Weights>& all,
                           std::vector<Suspect>& out) {
  constexpr double unlike = 8;  // 3 of 8 bits are left to half of the channels
  const Weights* worst = nullptr;
  std::size_t count = 0;
  PlanTrial remedy{"a scale for each channel", input.model.plan};
  for (const auto& weights : all) {
    if (!weights.one_scale()) continue;
    const Node& node = input.model.graph.node(weights.layer->nodes.front());
    const int bits = std::max(weights.quantization->scheme.bits, 2);
    OCTET_TRY(
        requantize_weights(input.model, *weights.layer, bits, weight_axis(node), remedy.plan));
    if (weights.channel_ratio < unlike) continue;
    ++count;
    if (worst == nullptr || weights.channel_ratio > worst->channel_ratio) worst = &weights;
  }
  if (worst == nullptr) return {};
  out.push_back(
      {"channel_range",
       worst->layer->name,
       fmt::format("one scale for all output channels of {}, whose ranges differ",
                   worst->layer->name),
       {fmt::format("its largest channel has {:.0f} times the range of the median one",
                    worst->channel_ratio),
        fmt::format("{} layers have channels beyond {:g} times the median", count, unlike)},
       {"--per-channel"},
       std::move(remedy)});
  return {};
}

/// Sum of |codes| by output channel, times the largest |input code - zero point|, and the bias.
void find_accumulators(const DiagnosisInput& input, const std::vector<Weights>& all,
                       std::vector<Suspect>& out) {
  constexpr double limit = 2147483648.0;
  for (const auto& weights : all) {
    const auto id = weights.layer->nodes.front();
    const Node& node = input.model.graph.node(id);
    const auto* read = input.model.plan.find(input.model.graph, {id, 0});
    if (read == nullptr || is_dynamic(*read) || read->params.count() != 1) continue;
    if (read->scheme.bits > 8 || node.is("ConvTranspose")) continue;
    const auto numbers = to_int64(weights.codes);
    if (!numbers) continue;
    const int axis = weight_axis(node);
    const auto channels = static_cast<std::size_t>(weights.codes.dim(axis));
    std::int64_t inner = 1;
    for (int d = axis + 1; d < weights.codes.rank(); ++d) inner *= weights.codes.dim(d);
    std::vector<double> sums(channels, 0);
    for (std::size_t i = 0; i < numbers->size(); ++i) {
      const auto channel = i / static_cast<std::size_t>(inner) % channels;
      sums[channel] += std::abs(static_cast<double>((*numbers)[i]));
    }
    const double largest = *std::max_element(sums.begin(), sums.end()) * 255;
    if (largest < limit) continue;
    out.push_back({"accumulator_overflow",
                   weights.layer->name,
                   fmt::format("the accumulators of {} can overflow int32", weights.layer->name),
                   {fmt::format("largest sum of |weight code| * 255: {:.3g}, int32 ends at {:.3g}",
                                largest, limit)},
                   {"--keep-float", weights.layer->name},
                   std::nullopt,
                   true});
  }
}

/// Biases that stand at the ends of int32, or that float values beyond it should have.
void find_bias_overflow(const DiagnosisInput& input, std::vector<Suspect>& out) {
  constexpr double limit = 2147483647.0;
  for (const auto& layer : input.layers) {
    for (const auto id : layer.nodes) {
      const Node& node = input.model.graph.node(id);
      for (std::size_t i = 0; i < node.inputs.size(); ++i) {
        const auto value = node.inputs[i];
        const auto* q = value == ValueId::none ? nullptr : input.model.plan.find(value);
        const auto* real = input.model.graph.constant(value);
        if (q == nullptr || real == nullptr || q->scheme.bits != 32) continue;
        const auto codes = constant_codes(input.model, {id, static_cast<int>(i)});
        if (!codes || real->dtype() != DType::f32) continue;
        const auto numbers = to_int64(*codes);
        if (!numbers) continue;
        std::size_t beyond = 0;
        double wanted = 0;
        for (std::size_t c = 0; c < numbers->size(); ++c) {
          const double scale = static_cast<double>(q->params.scale[q->params.count() == 1 ? 0 : c]);
          const double exact = static_cast<double>(real->data<float>()[c]) / scale;
          const bool at_end = std::abs(static_cast<double>((*numbers)[c])) >= limit;
          if (!at_end && std::abs(exact) <= limit) continue;
          ++beyond;
          wanted = std::max(wanted, std::abs(exact));
        }
        if (beyond == 0) continue;
        Suspect suspect{"bias_overflow",
                        layer.name,
                        fmt::format("the bias of {} does not fit int32", layer.name),
                        {fmt::format("{} of {} channels are cut off; the largest would be {:.3g}, "
                                     "int32 ends at {:.3g}",
                                     beyond, numbers->size(), wanted, limit)},
                        {},
                        PlanTrial{"a bias that fits", input.model.plan},
                        true};
        suspect.remedy->plan.values.erase(value);
        suspect.remedy->plan.payloads.erase(value);
        out.push_back(std::move(suspect));
      }
    }
  }
}

}  // namespace

int weight_axis(const Node& node) {
  if (node.is("Conv")) return 0;
  if (node.is("ConvTranspose")) return 1;
  if (node.is("Gemm")) return node.int_attribute("transB", 0) != 0 ? 0 : 1;
  if (node.is("MatMul")) return 1;
  return -1;
}

Status requantize_weights(const QuantizedGraph& model, const IntegerLayer& layer, int bits,
                          int axis, QuantPlan& plan) {
  const Node& node = model.graph.node(layer.nodes.front());
  const auto value = node.input(1);
  const auto* real = model.graph.constant(value);
  const auto found = plan.values.find(value);
  if (real == nullptr || found == plan.values.end() || real->dtype() != DType::f32) return {};
  Quantization q = found->second;
  q.scheme.bits = bits;
  q.scheme.symmetry = Symmetry::symmetric;
  q.scheme.range = CodeRange::narrow;
  q.scheme.granularity = axis < 0 ? Granularity::per_tensor : Granularity::per_channel;
  q.scheme.axis = std::max(axis, 0);
  q.params = {{}, {}, axis};
  auto ranges = ranges_along(*real, std::max(axis, 0));
  if (axis < 0) ranges = {*std::max_element(ranges.begin(), ranges.end())};
  for (const float range : ranges) {
    const auto params =
        params_from_range(-static_cast<double>(range), static_cast<double>(range), q.scheme);
    q.params.scale.push_back(params.scale[0]);
    q.params.zero_point.push_back(0);
  }
  OCTET_ASSIGN(plan.payloads[value], quantize(*real, q.params, q.scheme, DType::i8));
  found->second = std::move(q);
  free_bias(model, layer, plan);
  return {};
}

Result<std::vector<Suspect>> weight_suspects(const DiagnosisInput& input) {
  OCTET_ASSIGN(const auto all, weights_of(input));
  std::vector<Suspect> out;
  find_bias_overflow(input, out);
  find_accumulators(input, all, out);
  OCTET_TRY(find_few_bits(input, all, out));
  OCTET_TRY(find_channel_ranges(input, all, out));
  return out;
}

}  // namespace octet
