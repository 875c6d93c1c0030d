#include "engine/gradient/normalization_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/float/vector_math.h"

namespace octet::gradient {
namespace {

/// BatchNormalization in training mode: statistics of the micro-batch itself ("ghost batches",
/// Hoffer et al. 2017), so that no thread waits for another and the result does not depend on how
/// many there are. Ioffe and Szegedy 2015:
///   y = gamma * (x - mean) * r + beta, r = 1 / sqrt(variance + epsilon)
///   dx = gamma * r * (g - mean(g) - xhat * mean(g * xhat))
class BatchNormGradient : public GradientOp {
 public:
  explicit BatchNormGradient(const OpSource& source)
      : channels_(source.inputs[0].size() > 1 ? source.inputs[0][1] : 1),
        pixels_(element_count(source.inputs[0]) / std::max<std::int64_t>(channels_, 1)),
        epsilon_(source.node.float_attribute("epsilon", 1e-5F)) {}

  std::unique_ptr<OpState> make_state() const override {
    return std::make_unique<BatchNormState>();
  }

  Status forward(const ForwardCall& call) const override {
    auto& state = *static_cast<BatchNormState*>(call.state);
    measure(call.inputs[0], state);
    const float* gamma = call.inputs[1];
    const float* beta = call.inputs[2];
    std::vector<float> factor(size()), offset(size());
    for (std::size_t c = 0; c < size(); ++c) {
      factor[c] = gamma[c] * state.deviation_reciprocal[c];
      offset[c] = beta[c] - state.mean[c] * factor[c];
    }
    for (std::int64_t p = 0; p < pixels_; ++p) {
      const float* in = call.inputs[0] + p * channels_;
      float* out = call.output + p * channels_;
      for (std::size_t c = 0; c < size(); ++c) out[c] = in[c] * factor[c] + offset[c];
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const auto& state = *static_cast<const BatchNormState*>(call.state);
    std::vector<double> sums(size(), 0.0), products(size(), 0.0);
    for (std::int64_t p = 0; p < pixels_; ++p) {
      const float* in = call.inputs[0] + p * channels_;
      const float* g = call.output_gradient + p * channels_;
      for (std::size_t c = 0; c < size(); ++c) {
        sums[c] += static_cast<double>(g[c]);
        products[c] +=
            static_cast<double>(g[c] * (in[c] - state.mean[c]) * state.deviation_reciprocal[c]);
      }
    }
    input_gradient(call, state, sums, products);
    give(call.input_gradients[1], products);
    give(call.input_gradients[2], sums);
    return {};
  }

 private:
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(channels_); }

  void measure(const float* values, BatchNormState& state) const {
    std::vector<double> sums(size(), 0.0), squares(size(), 0.0);
    const auto count = static_cast<double>(pixels_);
    for (std::int64_t p = 0; p < pixels_; ++p) {
      for (std::size_t c = 0; c < size(); ++c) {
        sums[c] += static_cast<double>(values[p * channels_ + static_cast<std::int64_t>(c)]);
      }
    }
    for (auto& sum : sums) sum /= count;
    for (std::int64_t p = 0; p < pixels_; ++p) {
      for (std::size_t c = 0; c < size(); ++c) {
        const double distance =
            static_cast<double>(values[p * channels_ + static_cast<std::int64_t>(c)]) - sums[c];
        squares[c] += distance * distance;
      }
    }
    state.mean.assign(sums.begin(), sums.end());
    state.deviation_reciprocal.resize(size());
    state.moments.mean.resize(size(), 0.0);
    state.moments.variance.resize(size(), 0.0);
    ++state.moments.batches;
    for (std::size_t c = 0; c < size(); ++c) {
      const double variance = squares[c] / count;
      state.deviation_reciprocal[c] =
          static_cast<float>(1 / std::sqrt(variance + static_cast<double>(epsilon_)));
      state.moments.mean[c] += sums[c];
      state.moments.variance[c] += pixels_ > 1 ? squares[c] / (count - 1) : variance;
    }
  }

  void input_gradient(const BackwardCall& call, const BatchNormState& state,
                      const std::vector<double>& sums, const std::vector<double>& products) const {
    const Target& to = call.input_gradients[0];
    if (!to) return;
    const auto count = static_cast<double>(pixels_);
    // dx = a * g + b * x + k for each channel.
    std::vector<float> a(size()), b(size()), k(size());
    for (std::size_t c = 0; c < size(); ++c) {
      const auto r = static_cast<double>(state.deviation_reciprocal[c]);
      const double gain = static_cast<double>(call.inputs[1][c]) * r;
      const double slope = -gain * r * products[c] / count;
      a[c] = static_cast<float>(gain);
      b[c] = static_cast<float>(slope);
      k[c] =
          static_cast<float>(-gain * sums[c] / count - slope * static_cast<double>(state.mean[c]));
    }
    for (std::int64_t p = 0; p < pixels_; ++p) {
      const float* in = call.inputs[0] + p * channels_;
      const float* g = call.output_gradient + p * channels_;
      float* out = to.data + p * channels_;
      for (std::size_t c = 0; c < size(); ++c) {
        const float value = a[c] * g[c] + b[c] * in[c] + k[c];
        out[c] = to.add ? out[c] + value : value;
      }
    }
  }

  void give(const Target& to, const std::vector<double>& sums) const {
    const std::vector<float> values(sums.begin(), sums.end());
    deliver(to, values.data(), channels_);
  }

  std::int64_t channels_;
  std::int64_t pixels_;
  float epsilon_;
};

MadeOp make_batch_norm(const OpSource& source) {
  const auto rank = source.inputs[0].size();
  // Other ranks do not have their channels last in memory.
  if (rank != 2 && rank != 4) return bad_input("octet trains BatchNormalization of rank 2 and 4");
  return std::make_unique<BatchNormGradient>(source);
}

/// LayerNormalization over the last axis (Ba et al. 2016), statistics of each row.
class LayerNormGradient : public GradientOp {
 public:
  explicit LayerNormGradient(const OpSource& source)
      : width_(source.inputs[0].back()),
        rows_(element_count(source.inputs[0]) / width_),
        epsilon_(source.node.float_attribute("epsilon", 1e-5F)),
        has_bias_(source.has(2)) {}

  Status forward(const ForwardCall& call) const override {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* x = call.inputs[0] + r * width_;
      const auto [mean, reciprocal] = moments(x);
      for (std::int64_t i = 0; i < width_; ++i) {
        const double normal = (static_cast<double>(x[i]) - mean) * reciprocal;
        const float scaled = static_cast<float>(normal) * call.inputs[1][i];
        call.output[r * width_ + i] = has_bias_ ? scaled + call.inputs[2][i] : scaled;
      }
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const auto width = static_cast<std::size_t>(width_);
    std::vector<float> scale_sums(width, 0.0F), bias_sums(width, 0.0F), row(width);
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* x = call.inputs[0] + r * width_;
      const float* g = call.output_gradient + r * width_;
      const auto [mean, reciprocal] = moments(x);
      double sum = 0;
      double product = 0;
      for (std::int64_t i = 0; i < width_; ++i) {
        const double normal = (static_cast<double>(x[i]) - mean) * reciprocal;
        const double slope = static_cast<double>(g[i]) * static_cast<double>(call.inputs[1][i]);
        sum += slope;
        product += slope * normal;
        scale_sums[static_cast<std::size_t>(i)] +=
            static_cast<float>(static_cast<double>(g[i]) * normal);
        bias_sums[static_cast<std::size_t>(i)] += g[i];
      }
      const auto count = static_cast<double>(width_);
      for (std::int64_t i = 0; i < width_; ++i) {
        const double normal = (static_cast<double>(x[i]) - mean) * reciprocal;
        const double slope = static_cast<double>(g[i]) * static_cast<double>(call.inputs[1][i]);
        row[static_cast<std::size_t>(i)] =
            static_cast<float>(reciprocal * (slope - sum / count - normal * product / count));
      }
      const Target& to = call.input_gradients[0];
      if (to) deliver({to.data + r * width_, to.add}, row.data(), width_);
    }
    deliver(call.input_gradients[1], scale_sums.data(), width_);
    if (has_bias_) deliver(call.input_gradients[2], bias_sums.data(), width_);
    return {};
  }

 private:
  struct Moments {
    double mean, reciprocal;
  };
  [[nodiscard]] Moments moments(const float* x) const {
    double sum = 0;
    for (std::int64_t i = 0; i < width_; ++i) sum += static_cast<double>(x[i]);
    const double mean = sum / static_cast<double>(width_);
    double squares = 0;
    for (std::int64_t i = 0; i < width_; ++i) {
      squares += (static_cast<double>(x[i]) - mean) * (static_cast<double>(x[i]) - mean);
    }
    return {mean,
            1 / std::sqrt(squares / static_cast<double>(width_) + static_cast<double>(epsilon_))};
  }

  std::int64_t width_;
  std::int64_t rows_;
  float epsilon_;
  bool has_bias_;
};

MadeOp make_layer_norm(const OpSource& source) {
  const auto rank = static_cast<std::int64_t>(source.inputs[0].size());
  const auto axis = source.node.int_attribute("axis", -1);
  if (rank == 4 || (axis != -1 && axis != rank - 1)) {
    return bad_input("octet trains LayerNormalization over the last axis of ranks other than 4");
  }
  return std::make_unique<LayerNormGradient>(source);
}

/// Softmax over the last axis: dx = y * (g - sum(g * y)).
class SoftmaxGradient : public GradientOp {
 public:
  explicit SoftmaxGradient(const Shape& shape)
      : width_(shape.back()), rows_(element_count(shape) / width_) {}

  Status forward(const ForwardCall& call) const override {
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* x = call.inputs[0] + r * width_;
      float* y = call.output + r * width_;
      const float most = *std::max_element(x, x + width_);
      float sum = 0;
      for (std::int64_t i = 0; i < width_; ++i) {
        y[i] = float_engine::math::exponential(x[i] - most);
        sum += y[i];
      }
      for (std::int64_t i = 0; i < width_; ++i) y[i] /= sum;
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    if (!to) return {};
    for (std::int64_t r = 0; r < rows_; ++r) {
      const float* y = call.output + r * width_;
      const float* g = call.output_gradient + r * width_;
      float* out = to.data + r * width_;
      float sum = 0;
      for (std::int64_t i = 0; i < width_; ++i) sum += g[i] * y[i];
      for (std::int64_t i = 0; i < width_; ++i) {
        const float value = y[i] * (g[i] - sum);
        out[i] = to.add ? out[i] + value : value;
      }
    }
    return {};
  }

 private:
  std::int64_t width_;
  std::int64_t rows_;
};

MadeOp make_softmax(const OpSource& source) {
  const auto rank = static_cast<std::int64_t>(source.inputs[0].size());
  const auto axis = source.node.int_attribute("axis", -1);
  if (rank == 4 || (axis != -1 && axis != rank - 1)) {
    return bad_input("octet trains Softmax over the last axis of ranks other than 4");
  }
  return std::make_unique<SoftmaxGradient>(source.inputs[0]);
}

constexpr auto entries = std::to_array<OpEntry>({{"BatchNormalization", make_batch_norm},
                                                 {"LayerNormalization", make_layer_norm},
                                                 {"Softmax", make_softmax}});

}  // namespace

std::span<const OpEntry> normalization_entries() { return entries; }

}  // namespace octet::gradient
