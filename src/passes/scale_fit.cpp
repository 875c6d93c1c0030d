#include "passes/scale_fit.h"

#include <cmath>

#include "passes/weight_view.h"

namespace octet {
namespace {

/// One layer's weights, and the classes of what it reads and makes (-1: none).
struct FittedLayer {
  NodeId id = NodeId::none;
  const Tensor* original = nullptr;
  const Tensor* coded = nullptr;
  WeightView view;
  int in = -1;
  int out = -1;
  double variance = 1;  ///< of a coded weight's error
};

/// Sums by channel of coded * weight and weight^2.
struct Regression {
  std::vector<double> product;
  std::vector<double> square;
};

/// Calls visit(output channel, input channel, weight, coded) for each weight.
template <class Visitor>
void visit_weights(const FittedLayer& layer, const Visitor& visit) {
  const auto* w = layer.original->data<float>();
  const auto* q = layer.coded->data<float>();
  for_each_weight(layer.view, [&](std::size_t o, std::size_t i, std::size_t at) {
    visit(o, i, static_cast<double>(w[at]), static_cast<double>(q[at]));
  });
}

class Fitter {
 public:
  Fitter(const Graph& original, const std::vector<ValueClass>& classes,
         const std::map<NodeId, Tensor>& coded) {
    std::map<NodeId, std::pair<int, int>> sides;
    for (std::size_t k = 0; k < classes.size(); ++k) {
      scales_.emplace_back(static_cast<std::size_t>(classes[k].channels), 1.0);
      for (const auto id : classes[k].makers)
        sides.try_emplace(id, -1, -1).first->second.second = static_cast<int>(k);
      for (const auto id : classes[k].readers)
        sides.try_emplace(id, -1, -1).first->second.first = static_cast<int>(k);
    }
    for (const auto& [id, weights] : coded) {
      const auto* constant = original.constant(original.node(id).input(1));
      FittedLayer layer{id, constant, &weights, view_of(original.node(id), *constant), -1, -1, 1};
      if (const auto it = sides.find(id); it != sides.end()) {
        layer.in = it->second.first;
        layer.out = it->second.second;
      }
      layers_.push_back(layer);
    }
  }

  ScaleFit run() {
    constexpr int rounds = 30;
    for (int round = 0; round < rounds; ++round) {
      for (auto& layer : layers_) layer.variance = error_of(layer);
      for (std::size_t k = 0; k < scales_.size(); ++k) fit_class(static_cast<int>(k), false);
    }
    for (std::size_t k = 0; k < scales_.size(); ++k) fit_class(static_cast<int>(k), true);
    ScaleFit fit;
    fit.scales = scales_;
    for (const auto& layer : layers_) fit.errors[layer.id] = share_of_error(layer);
    return fit;
  }

 private:
  [[nodiscard]] double scale(int k, std::size_t channel) const {
    return k < 0 ? 1 : scales_[static_cast<std::size_t>(k)][channel];
  }

  [[nodiscard]] double squared_error(const FittedLayer& layer) const {
    double sum = 0;
    visit_weights(layer, [&](std::size_t o, std::size_t i, double w, double q) {
      sum += std::pow(q - w * scale(layer.out, o) / scale(layer.in, i), 2);
    });
    return sum;
  }

  [[nodiscard]] static double power(const FittedLayer& layer) {
    double sum = 0;
    visit_weights(layer, [&](std::size_t, std::size_t, double, double q) { sum += q * q; });
    return sum;
  }

  [[nodiscard]] double share_of_error(const FittedLayer& layer) const {
    const double whole = power(layer);
    return whole > 0 ? squared_error(layer) / whole : 0;
  }

  /// Never less than a small share of the weights' own variance: nothing is known for certain.
  [[nodiscard]] double error_of(const FittedLayer& layer) const {
    constexpr double least = 1e-6;
    const auto count = static_cast<double>(std::max<std::int64_t>(layer.original->size(), 1));
    return std::max(squared_error(layer), least * power(layer)) / count;
  }

  /// Of the channels of the output side, or of the input side.
  [[nodiscard]] Regression regression(const FittedLayer& layer, bool of_outputs) const {
    const auto count = static_cast<std::size_t>(of_outputs ? layer.view.output_channels()
                                                           : layer.view.input_channels());
    Regression sums{std::vector<double>(count, 0), std::vector<double>(count, 0)};
    visit_weights(layer, [&](std::size_t o, std::size_t i, double w, double q) {
      const double given = of_outputs ? w / scale(layer.in, i) : w * scale(layer.out, o);
      const auto channel = of_outputs ? o : i;
      sums.product[channel] += q * given;
      sums.square[channel] += given * given;
    });
    return sums;
  }

  void fit_class(int k, bool settle) {
    auto& scales = scales_[static_cast<std::size_t>(k)];
    std::vector<double> sum(scales.size(), 0);
    std::vector<double> precision(scales.size(), 0);
    const auto add = [&](const FittedLayer& layer, bool of_outputs) {
      const auto sums = regression(layer, of_outputs);
      for (std::size_t c = 0; c < std::min(scales.size(), sums.square.size()); ++c) {
        if (sums.product[c] <= 0 || layer.variance <= 0) continue;
        // Of ln(product / square): (product / square)^2 / (variance / square).
        const double known = sums.product[c] * sums.product[c] / sums.square[c] / layer.variance;
        const double log = std::log(sums.product[c] / sums.square[c]);
        sum[c] += known * (of_outputs ? log : -log);
        precision[c] += known;
      }
    };
    for (const auto& layer : layers_) {
      if (layer.out == k) add(layer, true);
      if (layer.in == k) add(layer, false);
    }
    constexpr double standard_errors = 2;
    for (std::size_t c = 0; c < scales.size(); ++c) {
      const double log = precision[c] > 0 ? sum[c] / precision[c] : 0;
      const bool chance = log * log * precision[c] < standard_errors * standard_errors;
      scales[c] = settle && chance ? 1 : std::exp(log);
    }
  }

  std::vector<std::vector<double>> scales_;
  std::vector<FittedLayer> layers_;
};

}  // namespace

ScaleFit fit_scales(const Graph& original, const std::vector<ValueClass>& classes,
                    const std::map<NodeId, Tensor>& coded) {
  return Fitter(original, classes, coded).run();
}

Tensor scaled_weights(const Node& node, const Tensor& weights, const std::vector<double>* out,
                      const std::vector<double>* in) {
  Tensor scaled = weights;
  if (out == nullptr && in == nullptr) return scaled;
  scale_channels(view_of(node, weights), out, in, scaled.mutable_data<float>());
  return scaled;
}

}  // namespace octet
