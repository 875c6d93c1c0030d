#include <algorithm>
#include <memory>
#include <numeric>

#include "arithmetic/quantize.h"
#include "calibration/channel_means.h"
#include "engine/float/float_program.h"
#include "engine/integer/integer_program.h"
#include "octet/runtime.h"
#include "passes/passes.h"
#include "passes/sample_runs.h"
#include "passes/weight_view.h"

// Bias correction with feedback. The mean of a layer's quantized result differs from the float one
// by
//
//   E[W' x'] - E[W x] = (W' - W) E[x] + W' (E[x'] - E[x])
//
// correct_bias takes the first part out of the bias. The second is what the layers before leave:
// where a Relu or a range cuts off noise, or the codes of a value do not centre on it, its mean
// moves. Here the integer engine runs the quantized model on samples, E[x'] - E[x] is measured at
// the input of a layer, and W' times that is taken out of its bias, too: empirical bias correction
// (Nagel et al. 2019, section 4.2), layer by layer in execution order, each behind layers that are
// corrected already. (All layers at once do not converge in a few rounds: what one takes out, the
// next takes out again.)
//
// Right means do not make every network better, so other samples judge: the refined biases stay
// only where the squared error of the outputs becomes smaller on them by more than chance, which a
// paired test over the samples tells.

namespace octet::passes {
namespace {

/// Samples that are held in memory.
constexpr std::int64_t sample_limit = 96;
constexpr std::size_t period = 3;
/// A layer whose bias follows the mean of its input.
struct Layer {
  NodeId node = NodeId::none;
  ValueId input = ValueId::none;
  WeightView view;
  Tensor weight;  ///< as rounded
  std::vector<double> shares;
  std::vector<float> bias;  ///< before
};

using Means = std::map<ValueId, ChannelMeans>;

/// Taps that add to the means of values, one worker each.
class MeanTaps {
 public:
  MeanTaps(const std::vector<ValueId>& values, const QuantPlan* plan) : plan_(plan) {
    request_.values = values;
    request_.tap = [this](const TapView& view) { observe(view); };
  }
  [[nodiscard]] const TapRequest* request() const { return &request_; }
  [[nodiscard]] const Means& means() const { return means_; }

 private:
  void observe(const TapView& view) {
    const auto* quantization = plan_ == nullptr ? nullptr : plan_->find(view.value);
    if (view.codes.empty() || quantization == nullptr) {
      means_[view.value].observe(view);
      return;
    }
    reals_.resize(view.codes.size());
    const float scale = quantization->params.scale.front();
    const auto zero_point = quantization->params.zero_point.front();
    for (std::size_t i = 0; i < reals_.size(); ++i) {
      reals_[i] = dequantize_value(view.codes[i], scale, zero_point);
    }
    TapView real = view;
    real.values = reals_;
    means_[view.value].observe(real);
  }

  const QuantPlan* plan_;
  TapRequest request_;
  Means means_;
  std::vector<float> reals_;
};

class Refiner {
 public:
  explicit Refiner(PassContext& context) : context_(context) {}

  Status run() {
    OCTET_TRY(find_layers());
    if (layers_.empty()) return {};
    OCTET_TRY(read());
    const Graph unrefined = context_.model.graph;
    Graph original = unrefined;
    for (const auto& [id, bias] : context_.float_biases) {
      original.value(original.node(id).input(2)).constant = bias;
    }
    OCTET_ASSIGN(const auto error, OutputDistance::against(original, judging_));
    OCTET_ASSIGN(const auto before, errors_of_trial(error));
    OCTET_TRY(refine(original));
    OCTET_ASSIGN(const auto after, errors_of_trial(error));
    if (fell_surely(before, after)) return {};
    context_.model.graph = unrefined;
    context_.report.notes.push_back(fmt::format(
        "biases were not refined: that would take the relative squared error of the outputs from "
        "{:.3g} to {:.3g}",
        sum(before), sum(after)));
    return {};
  }

 private:
  Result<std::vector<double>> errors_of_trial(const OutputDistance& error) const {
    OCTET_ASSIGN(auto model, with_bias_codes(context_));
    return error.by_sample(std::move(model));
  }
  static double sum(const std::vector<double>& errors) {
    return std::accumulate(errors.begin(), errors.end(), 0.0);
  }

  Status refine(const Graph& original) {
    OCTET_ASSIGN(const auto floats, compile_float(original, inputs_));
    OCTET_ASSIGN(const auto wanted, measure(*floats, inputs_, nullptr));
    for (std::size_t k = 0; k < layers_.size();) {
      const auto input = layers_[k].input;
      OCTET_ASSIGN(const auto model, up_to(input));
      OCTET_ASSIGN(const auto program, compile_integer(model));
      OCTET_ASSIGN(const auto found, measure(*program, {input}, &model.plan));
      for (; k < layers_.size() && layers_[k].input == input; ++k) {
        move(layers_[k], wanted, found);
      }
    }
    return {};
  }

  Status find_layers() {
    Graph& graph = context_.model.graph;
    OCTET_ASSIGN(const auto order, graph.topological_order());
    for (const auto id : order) {
      const Node node = graph.node(id);
      const auto& kinds = context_.placement.kinds;
      if (index(id) >= kinds.size() || kinds[index(id)] != IntegerKind::accumulate) continue;
      if (context_.rounded.contains(id)) continue;
      if (node.is("MatMul") || !context_.model.plan.values.contains(node.input(0))) continue;
      Layer layer{id, node.input(0), view_of(node, *graph.constant(node.input(1))), {}, {}, {}};
      OCTET_ASSIGN(const auto codes, constant_codes(context_.model, {id, 1}));
      OCTET_ASSIGN(layer.weight,
                   dequantize(codes, context_.model.plan.find(graph, {id, 1})->params));
      layer.shares = tap_shares(graph, node, layer.weight, layer.view.taps);
      OCTET_ASSIGN(const auto bias, own_bias(graph, id, layer.view.output_channels()));
      const Tensor& values = *graph.constant(bias);
      if (values.dtype() != DType::f32 || values.size() != layer.view.output_channels()) continue;
      const auto span = values.values<float>();
      layer.bias.assign(span.begin(), span.end());
      inputs_.push_back(layer.input);
      layers_.push_back(std::move(layer));
    }
    std::sort(inputs_.begin(), inputs_.end());
    inputs_.erase(std::unique(inputs_.begin(), inputs_.end()), inputs_.end());
    return {};
  }

  /// One of `period` samples measures means, the others judge.
  Status read() {
    OCTET_ASSIGN(auto samples,
                 read_samples(context_.sources.samples, context_.model.graph, sample_limit));
    for (std::size_t i = 0; i < samples.size(); ++i) {
      (i % period == 0 ? measured_ : judging_).push_back(std::move(samples[i]));
    }
    if (judging_.empty()) judging_ = measured_;
    return {};
  }

  Result<Means> measure(const Program& program, const std::vector<ValueId>& values,
                        const QuantPlan* plan) const {
    std::vector<std::unique_ptr<MeanTaps>> taps(
        static_cast<std::size_t>(std::max(thread_count(), 1)));
    OCTET_TRY(run_samples(program, measured_,
                          [&](int worker) {
                            auto& own = taps[static_cast<std::size_t>(worker)];
                            if (!own) own = std::make_unique<MeanTaps>(values, plan);
                            return own->request();
                          },
                          {}));
    Means all;
    for (const auto& one : taps) {
      if (!one) continue;
      for (const auto& [id, means] : one->means()) all[id].merge(means);
    }
    return all;
  }

  /// What makes `input` in the model, with the biases as they are now.
  Result<QuantizedGraph> up_to(ValueId input) const {
    OCTET_ASSIGN(auto model, with_bias_codes(context_));
    model.graph.outputs = {input};
    model.graph.remove_dead_nodes();
    return model;
  }

  void move(const Layer& layer, const Means& wanted, const Means& found) {
    const auto before = wanted.find(layer.input);
    const auto after = found.find(layer.input);
    const auto channels = static_cast<std::size_t>(layer.view.input_channels());
    for (const auto* means : {before == wanted.end() ? nullptr : &before->second,
                              after == found.end() ? nullptr : &after->second}) {
      if (means == nullptr || !means->valid() || means->channels() != channels) return;
    }
    Graph& graph = context_.model.graph;
    float* bias = graph.value(graph.node(layer.node).input(2)).constant->mutable_data<float>();
    const auto& view = layer.view;
    for (std::int64_t o = 0; o < view.output_channels(); ++o) {
      const auto group = o / view.outputs;
      double moved = 0;
      for (std::int64_t i = 0; i < view.inputs; ++i) {
        double sum = 0;
        for (std::int64_t tap = 0; tap < view.taps; ++tap) {
          sum += layer.shares[static_cast<std::size_t>(tap)] *
                 static_cast<double>(
                     layer.weight.data<float>()[view.at(group, o % view.outputs, i, tap)]);
        }
        const auto channel = static_cast<std::size_t>(group * view.inputs + i);
        moved += sum * (after->second.mean(channel) - before->second.mean(channel));
      }
      const auto at = static_cast<std::size_t>(o);
      bias[at] = static_cast<float>(static_cast<double>(layer.bias[at]) - moved);
    }
  }

  PassContext& context_;
  std::vector<Layer> layers_;
  std::vector<ValueId> inputs_;
  Samples measured_, judging_;
};

}  // namespace

Status refine_bias(PassContext& context) {
  if (!context.options.refine_bias || !context.sources.samples) return {};
  return Refiner(context).run();
}

}  // namespace octet::passes
