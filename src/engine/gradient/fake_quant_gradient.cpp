// octet.FakeQuant(x, scale): what quantizing x and dequantizing it again makes of it, with
// attributes zero_point (ints, as many as scales), axis (-1: one scale), qmin, qmax and
// gradient_scale.
//
//   q = clamp(round_half_even(x / scale) + zero_point, qmin, qmax),  y = scale * (q - zero_point)
//
// Backward, straight-through estimator: dy/dx = 1 where x / scale lies within the codes, else 0
// (Jacob et al. 2018). dy/dscale = (q - zero_point) - x / scale within, q - zero_point outside
// (LSQ, Esser et al. 2020, equation 3; LSQ+ for codes with a zero point), times gradient_scale.

#include <algorithm>
#include <array>
#include <cmath>

#include "arithmetic/round.h"
#include "engine/float/vector_clones.h"
#include "engine/gradient/gradient_op.h"

namespace octet::gradient {
namespace {

/// Codes less their zero point: low <= q - zero_point <= high.
struct Grid {
  float scale;
  float low;
  float high;
};

OCTET_INLINE float on_grid(float x, Grid grid) {
  return round_half_even_bounded(saturate(x / grid.scale, grid.low, grid.high));
}

OCTET_VECTOR_CLONES void snap(const float* __restrict x, float* __restrict y, std::int64_t count,
                              Grid grid) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = grid.scale * on_grid(x[i], grid);
}

/// out (may be nullptr) gets the gradient of x; returns the sum of g * dy/dscale.
OCTET_VECTOR_CLONES double snap_backward(const float* __restrict x, const float* __restrict g,
                                         float* __restrict out, bool add, std::int64_t count,
                                         Grid grid) {
  constexpr std::int64_t lanes = 16;
  constexpr std::int64_t block = 64 * lanes;
  double total = 0;
  for (std::int64_t start = 0; start < count; start += block) {
    const auto end = std::min(count, start + block);
    float sums[lanes] = {};
    auto i = start;
    const auto one = [&](std::int64_t at, float& sum) {
      const float ratio = x[at] / grid.scale;
      const float limited = saturate(ratio, grid.low, grid.high);
      const bool inside = limited == ratio;
      const float code = round_half_even_bounded(limited);
      sum += g[at] * (inside ? code - ratio : code);
      return inside ? g[at] : 0.0F;
    };
    for (; i + lanes <= end; i += lanes) {
      float passed[lanes];
      for (std::int64_t k = 0; k < lanes; ++k) passed[k] = one(i + k, sums[k]);
      if (out == nullptr) continue;
      for (std::int64_t k = 0; k < lanes; ++k) {
        out[i + k] = add ? out[i + k] + passed[k] : passed[k];
      }
    }
    for (; i < end; ++i) {
      const float passed = one(i, sums[0]);
      if (out != nullptr) out[i] = add ? out[i] + passed : passed;
    }
    for (const float sum : sums) total += static_cast<double>(sum);
  }
  return total;
}

class FakeQuantGradient : public GradientOp {
 public:
  FakeQuantGradient(const OpSource& source, std::int64_t axis)
      : gradient_scale_(static_cast<double>(source.node.float_attribute("gradient_scale", 1))),
        zero_points_(source.node.ints_attribute("zero_point")),
        qmin_(source.node.int_attribute("qmin", -128)),
        qmax_(source.node.int_attribute("qmax", 127)) {
    const Shape& shape = source.inputs[0];
    channels_ = axis < 0 ? 1 : shape[static_cast<std::size_t>(axis)];
    for (auto i = static_cast<std::size_t>(axis + 1); i < shape.size() && axis >= 0; ++i) {
      inner_ *= shape[i];
    }
    if (axis < 0) inner_ = element_count(shape);
    outer_ = element_count(shape) / (channels_ * inner_);
  }

  Status forward(const ForwardCall& call) const override {
    for_each_slice([&](std::int64_t channel, std::int64_t at) {
      snap(call.inputs[0] + at, call.output + at, inner_, grid(call.inputs[1], channel));
    });
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    std::vector<double> sums(static_cast<std::size_t>(channels_), 0.0);
    for_each_slice([&](std::int64_t channel, std::int64_t at) {
      sums[static_cast<std::size_t>(channel)] +=
          snap_backward(call.inputs[0] + at, call.output_gradient + at, to ? to.data + at : nullptr,
                        to.add, inner_, grid(call.inputs[1], channel));
    });
    std::vector<float> scales;
    for (const double sum : sums) scales.push_back(static_cast<float>(sum * gradient_scale_));
    deliver(call.input_gradients[1], scales.data(), channels_);
    return {};
  }

 private:
  [[nodiscard]] Grid grid(const float* scales, std::int64_t channel) const {
    const auto zero_point = zero_points_[static_cast<std::size_t>(channel)];
    return {scales[channel], static_cast<float>(qmin_ - zero_point),
            static_cast<float>(qmax_ - zero_point)};
  }

  template <class Fn>
  void for_each_slice(const Fn& fn) const {
    for (std::int64_t o = 0; o < outer_; ++o) {
      for (std::int64_t c = 0; c < channels_; ++c) fn(c, (o * channels_ + c) * inner_);
    }
  }

  double gradient_scale_;
  std::vector<std::int64_t> zero_points_;
  std::int64_t qmin_;
  std::int64_t qmax_;
  std::int64_t outer_ = 1;
  std::int64_t channels_ = 1;
  std::int64_t inner_ = 1;
};

MadeOp make_fake_quant(const OpSource& source) {
  const auto axis = source.node.int_attribute("axis", -1);
  if (axis >= 0 && !source.parameters[0]) {
    return internal_error("activations have one scale");
  }
  auto op = std::make_unique<FakeQuantGradient>(source, axis);
  return op;
}

constexpr auto entries = std::to_array<OpEntry>({{"FakeQuant", make_fake_quant}});

}  // namespace

std::span<const OpEntry> fake_quant_entries() { return entries; }

}  // namespace octet::gradient
