#include "engine/gradient/normalization_gradient.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/float/vector_clones.h"
#include "engine/float/vector_math.h"

namespace octet::gradient {
namespace {

/// Pixels whose sums stay in single precision.
constexpr std::int64_t block = 64;

/// Adds up, by channel, x and (x - center)^2 over pixels; `center` makes the squares exact enough
/// in single precision.
OCTET_VECTOR_CLONES void add_moments(const float* __restrict x, const float* __restrict center,
                                     std::int64_t pixels, std::int64_t channels,
                                     float* __restrict sums, float* __restrict squares) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* row = x + p * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const float distance = row[c] - center[c];
      sums[c] += distance;
      squares[c] += distance * distance;
    }
  }
}

/// Adds up, by channel, g and g * (x - mean) over pixels.
OCTET_VECTOR_CLONES void add_products(const float* __restrict x, const float* __restrict g,
                                      const float* __restrict mean, std::int64_t pixels,
                                      std::int64_t channels, float* __restrict sums,
                                      float* __restrict products) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const float* in = x + p * channels;
    const float* slope = g + p * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      sums[c] += slope[c];
      products[c] += slope[c] * (in[c] - mean[c]);
    }
  }
}

OCTET_VECTOR_CLONES void apply_factors(const float* __restrict x, const float* __restrict factor,
                                       const float* __restrict offset, std::int64_t pixels,
                                       std::int64_t channels, float* __restrict y) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    for (std::int64_t c = 0; c < channels; ++c) {
      y[p * channels + c] = x[p * channels + c] * factor[c] + offset[c];
    }
  }
}

/// out = or += a * g + b * x + k, by channel.
OCTET_VECTOR_CLONES void combine(const float* __restrict x, const float* __restrict g,
                                 const float* __restrict a, const float* __restrict b,
                                 const float* __restrict k, std::int64_t pixels,
                                 std::int64_t channels, bool add, float* __restrict out) {
  for (std::int64_t p = 0; p < pixels; ++p) {
    const std::int64_t row = p * channels;
    for (std::int64_t c = 0; c < channels; ++c) {
      const float value = a[c] * g[row + c] + b[c] * x[row + c] + k[c];
      out[row + c] = add ? out[row + c] + value : value;
    }
  }
}

/// Two sums by channel, single precision within a block of pixels, double beyond.
struct ChannelPair {
  explicit ChannelPair(std::size_t size) : first(size, 0.0), second(size, 0.0), parts(2 * size) {}

  /// add(pixel, pixels, first, second) adds a block up.
  template <class Add>
  void over(std::int64_t pixels, const Add& add) {
    const auto size = first.size();
    for (std::int64_t p = 0; p < pixels; p += block) {
      std::fill(parts.begin(), parts.end(), 0.0F);
      add(p, std::min(block, pixels - p), parts.data(), parts.data() + size);
      for (std::size_t c = 0; c < size; ++c) {
        first[c] += static_cast<double>(parts[c]);
        second[c] += static_cast<double>(parts[size + c]);
      }
    }
  }

  std::vector<double> first, second;
  std::vector<float> parts;
};

/// BatchNormalization. In training mode with statistics of the micro-batch itself ("ghost batches",
/// Hoffer et al. 2017), so that no thread waits for another and the result does not depend on how
/// many there are; in inference mode with the node's own, though those of the batch are noted, too.
/// Ioffe and Szegedy 2015:
///   y = gamma * (x - mean) * r + beta, r = 1 / sqrt(variance + epsilon)
///   dx = gamma * r * (g - mean(g) - xhat * mean(g * xhat))
class BatchNormGradient : public GradientOp {
 public:
  explicit BatchNormGradient(const OpSource& source)
      : channels_(source.inputs[0].size() > 1 ? source.inputs[0][1] : 1),
        pixels_(element_count(source.inputs[0]) / std::max<std::int64_t>(channels_, 1)),
        epsilon_(source.node.float_attribute("epsilon", 1e-5F)),
        inference_(source.mode == Mode::inference) {}

  std::unique_ptr<OpState> make_state() const override {
    return std::make_unique<BatchNormState>();
  }

  Status forward(const ForwardCall& call) const override {
    auto& state = *static_cast<BatchNormState*>(call.state);
    if (!call.again) measure(call.inputs[0], state);
    if (inference_) take(call, state);
    std::vector<float> factor(size()), offset(size());
    for (std::size_t c = 0; c < size(); ++c) {
      factor[c] = call.inputs[1][c] * state.deviation_reciprocal[c];
      offset[c] = call.inputs[2][c] - state.mean[c] * factor[c];
    }
    apply_factors(call.inputs[0], factor.data(), offset.data(), pixels_, channels_, call.output);
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    if (inference_) return internal_error("inference has no backward pass");
    const auto& state = *static_cast<const BatchNormState*>(call.state);
    ChannelPair sums(size());
    sums.over(pixels_, [&](std::int64_t p, std::int64_t count, float* of_g, float* of_products) {
      add_products(call.inputs[0] + p * channels_, call.output_gradient + p * channels_,
                   state.mean.data(), count, channels_, of_g, of_products);
    });
    for (std::size_t c = 0; c < size(); ++c) {
      sums.second[c] *= static_cast<double>(state.deviation_reciprocal[c]);
    }
    input_gradient(call, state, sums);
    give(call.input_gradients[1], sums.second);
    give(call.input_gradients[2], sums.first);
    return {};
  }

 private:
  [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(channels_); }

  void take(const ForwardCall& call, BatchNormState& state) const {
    state.mean.assign(call.inputs[3], call.inputs[3] + channels_);
    state.deviation_reciprocal.resize(size());
    for (std::size_t c = 0; c < size(); ++c) {
      const double variance = static_cast<double>(call.inputs[4][c]);
      state.deviation_reciprocal[c] = reciprocal(variance);
    }
  }

  [[nodiscard]] float reciprocal(double variance) const {
    return static_cast<float>(1 / std::sqrt(variance + static_cast<double>(epsilon_)));
  }

  void measure(const float* values, BatchNormState& state) const {
    const auto count = static_cast<double>(pixels_);
    // The first pixel lies about as far from zero as the mean does.
    const std::vector<float> center(values, values + channels_);
    ChannelPair sums(size());
    sums.over(pixels_, [&](std::int64_t p, std::int64_t pixels, float* first, float* second) {
      add_moments(values + p * channels_, center.data(), pixels, channels_, first, second);
    });
    state.mean.resize(size());
    state.deviation_reciprocal.resize(size());
    state.moments.mean.resize(size(), 0.0);
    state.moments.variance.resize(size(), 0.0);
    ++state.moments.batches;
    for (std::size_t c = 0; c < size(); ++c) {
      const double distance = sums.first[c] / count;
      const double mean = static_cast<double>(center[c]) + distance;
      const double variance = std::max(0.0, sums.second[c] / count - distance * distance);
      state.mean[c] = static_cast<float>(mean);
      state.deviation_reciprocal[c] = reciprocal(variance);
      state.moments.mean[c] += mean;
      state.moments.variance[c] += pixels_ > 1 ? variance * count / (count - 1) : variance;
    }
  }

  void input_gradient(const BackwardCall& call, const BatchNormState& state,
                      const ChannelPair& sums) const {
    const Target& to = call.input_gradients[0];
    if (!to) return;
    const auto count = static_cast<double>(pixels_);
    std::vector<float> a(size()), b(size()), k(size());
    for (std::size_t c = 0; c < size(); ++c) {
      const auto r = static_cast<double>(state.deviation_reciprocal[c]);
      const double gain = static_cast<double>(call.inputs[1][c]) * r;
      const double slope = -gain * r * sums.second[c] / count;
      a[c] = static_cast<float>(gain);
      b[c] = static_cast<float>(slope);
      k[c] = static_cast<float>(-gain * sums.first[c] / count -
                                slope * static_cast<double>(state.mean[c]));
    }
    combine(call.inputs[0], call.output_gradient, a.data(), b.data(), k.data(), pixels_, channels_,
            to.add, to.data);
  }

  void give(const Target& to, const std::vector<double>& sums) const {
    const std::vector<float> values(sums.begin(), sums.end());
    deliver(to, values.data(), channels_);
  }

  std::int64_t channels_;
  std::int64_t pixels_;
  float epsilon_;
  bool inference_;
};

MadeOp make_batch_norm(const OpSource& source) {
  const auto rank = source.inputs[0].size();
  // Other ranks do not have their channels last in memory.
  if (rank != 2 && rank != 4) return bad_input("octet trains BatchNormalization of rank 2 and 4");
  return std::make_unique<BatchNormGradient>(source);
}

/// LayerNormalization over the last axes (Ba et al. 2016), statistics of each row.
class LayerNormGradient : public GradientOp {
 public:
  LayerNormGradient(const OpSource& source, std::int64_t width)
      : width_(width),
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
  const Shape& shape = source.inputs[0];
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto axis = source.node.int_attribute("axis", -1);
  const auto first = axis < 0 ? axis + rank : axis;
  if (first < 0 || first >= rank) return bad_input("axis {} of rank {}", axis, rank);
  const auto width = element_count(Shape(shape.begin() + first, shape.end()));
  const auto covers = [&](std::size_t input) {
    return element_count(source.inputs[input]) == width;
  };
  if (!covers(1) || (source.has(2) && !covers(2))) {
    return bad_input("octet trains LayerNormalization with one factor for each element of a row");
  }
  return in_row_major(source, std::make_unique<LayerNormGradient>(source, width));
}

/// Softmax over what lies together in memory: dx = y * (g - sum(g * y)).
class SoftmaxGradient : public GradientOp {
 public:
  SoftmaxGradient(const Shape& shape, std::int64_t width)
      : width_(width), rows_(element_count(shape) / width) {}

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
  const Shape& shape = source.inputs[0];
  const auto rank = static_cast<std::int64_t>(shape.size());
  const auto given = source.node.int_attribute("axis", -1);
  const auto axis = given < 0 ? given + rank : given;
  if (rank == 4 && axis == 1 && !source.parameters[0]) {
    return std::make_unique<SoftmaxGradient>(shape, shape[1]);  // channels lie together already
  }
  if (axis != rank - 1) return bad_input("octet trains Softmax over the last axis or channels");
  return in_row_major(source, std::make_unique<SoftmaxGradient>(shape, shape.back()));
}

constexpr auto entries = std::to_array<OpEntry>({{"BatchNormalization", make_batch_norm},
                                                 {"LayerNormalization", make_layer_norm},
                                                 {"Softmax", make_softmax}});

}  // namespace

std::span<const OpEntry> normalization_entries() { return entries; }

}  // namespace octet::gradient
