// octet.FakeQuant(x, scale[, offset]): what quantizing x and dequantizing it again makes of it,
// with attributes zero_point (ints, as many as scales), axis (-1: one scale), qmin, qmax,
// gradient_scale and estimator. An offset, one f32 number, stands for the zero point once it is
// rounded.
//
//   q = clamp(round_half_even(x / scale) + zero_point, qmin, qmax),  y = scale * (q - zero_point)
//
// Backward, straight-through estimator: dy/dx = 1 where x / scale lies within the codes, else 0
// (Jacob et al. 2018). The gradients of scale and offset are times gradient_scale:
//
//   lsq   dy/dscale = (q - zero_point) - x / scale within, q - zero_point outside (LSQ, Esser et
//   al.
//         2020, equation 3)
//   pact  dy/dscale = 0 within, q - zero_point outside: that of the clipping level, the scale times
//         the number of steps (PACT, Choi et al. 2018, equation 3)
//   dy/doffset = 0 within, -scale outside (LSQ+, Bhalgat et al. 2020, equation 5, there of
//         beta = -scale * offset)

#include <algorithm>
#include <array>
#include <cmath>

#include "arithmetic/quantize.h"
#include "engine/float/vector_clones.h"
#include "engine/gradient/fake_quant.h"
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

struct GridSums {
  double scale = 0;    ///< of g * dy/dscale
  double outside = 0;  ///< of g where x lies outside the codes
};

/// out (may be nullptr) gets the gradient of x. `rounding`: 1 where the error of rounding counts in
/// dy/dscale, 0 where it does not.
OCTET_VECTOR_CLONES GridSums snap_backward(const float* __restrict x, const float* __restrict g,
                                           float* __restrict out, bool add, std::int64_t count,
                                           Grid grid, float rounding) {
  constexpr std::int64_t lanes = 16;
  constexpr std::int64_t block = 64 * lanes;
  GridSums total;
  for (std::int64_t start = 0; start < count; start += block) {
    const auto end = std::min(count, start + block);
    float sums[lanes] = {};
    float outside[lanes] = {};
    auto i = start;
    const auto one = [&](std::int64_t at, float& sum, float& beyond) {
      const float ratio = x[at] / grid.scale;
      const float limited = saturate(ratio, grid.low, grid.high);
      const bool inside = limited == ratio;
      const float code = round_half_even_bounded(limited);
      sum += g[at] * (inside ? rounding * (code - ratio) : code);
      beyond += inside ? 0.0F : g[at];
      return inside ? g[at] : 0.0F;
    };
    for (; i + lanes <= end; i += lanes) {
      float passed[lanes];
      for (std::int64_t k = 0; k < lanes; ++k) {
        passed[k] = one(i + k, sums[k], outside[k]);
      }
      if (out == nullptr) continue;
      for (std::int64_t k = 0; k < lanes; ++k) {
        out[i + k] = add ? out[i + k] + passed[k] : passed[k];
      }
    }
    for (; i < end; ++i) {
      const float passed = one(i, sums[0], outside[0]);
      if (out != nullptr) out[i] = add ? out[i] + passed : passed;
    }
    for (const float sum : sums) total.scale += static_cast<double>(sum);
    for (const float sum : outside) total.outside += static_cast<double>(sum);
  }
  return total;
}

class FakeQuantGradient : public GradientOp {
 public:
  FakeQuantGradient(const OpSource& source, std::int64_t axis)
      : gradient_scale_(static_cast<double>(source.node.float_attribute("gradient_scale", 1))),
        zero_points_(source.node.ints_attribute("zero_point")),
        qmin_(source.node.int_attribute("qmin", -128)),
        qmax_(source.node.int_attribute("qmax", 127)),
        rounding_(source.node.string_attribute("estimator", "lsq") == "pact" ? 0.0F : 1.0F) {
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
      snap(call.inputs[0] + at, call.output + at, inner_, grid(call.inputs, channel));
    });
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const Target& to = call.input_gradients[0];
    std::vector<double> sums(static_cast<std::size_t>(channels_), 0.0);
    double outside = 0;
    for_each_slice([&](std::int64_t channel, std::int64_t at) {
      const auto found =
          snap_backward(call.inputs[0] + at, call.output_gradient + at, to ? to.data + at : nullptr,
                        to.add, inner_, grid(call.inputs, channel), rounding_);
      sums[static_cast<std::size_t>(channel)] += found.scale;
      outside += found.outside;
    });
    std::vector<float> scales;
    for (const double sum : sums) scales.push_back(static_cast<float>(sum * gradient_scale_));
    deliver(call.input_gradients[1], scales.data(), channels_);
    if (call.inputs.size() < 3) return {};
    const double of_offset = -static_cast<double>(call.inputs[1][0]) * outside * gradient_scale_;
    const auto narrowed = static_cast<float>(of_offset);
    deliver(call.input_gradients[2], &narrowed, 1);
    return {};
  }

 private:
  [[nodiscard]] Grid grid(std::span<const float* const> inputs, std::int64_t channel) const {
    const std::int64_t zero_point =
        inputs.size() > 2 ? quantize_value(inputs[2][0], 1, 0, static_cast<std::int32_t>(qmin_),
                                           static_cast<std::int32_t>(qmax_))
                          : zero_points_[static_cast<std::size_t>(channel)];
    return {inputs[1][channel], static_cast<float>(qmin_ - zero_point),
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
  float rounding_;
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

Node fake_quant_node(const std::string& name, std::vector<ValueId> inputs,
                     const Quantization& quantization) {
  const auto& [scheme, params, origin, storage] = quantization;
  Node node;
  node.op = "FakeQuant";
  node.domain = "octet";
  node.name = name + "_fake_quant";
  node.inputs = std::move(inputs);
  node.attributes = {
      {"zero_point", std::vector<std::int64_t>(params.zero_point.begin(), params.zero_point.end())},
      {"axis", std::int64_t{params.axis}},
      {"qmin", scheme.qmin()},
      {"qmax", scheme.qmax()}};
  return node;
}

std::span<const OpEntry> fake_quant_entries() { return entries; }

}  // namespace octet::gradient
