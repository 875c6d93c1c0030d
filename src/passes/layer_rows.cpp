#include "passes/layer_rows.h"

#include <algorithm>

#include "arithmetic/quantize.h"
#include "graph/spatial.h"

namespace octet {
namespace {

std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }

/// Elements of a tapped value as reals, by channel and position whatever their order in memory.
class Elements {
 public:
  Elements(const TapView& view, const Quantization* quantization, std::int64_t channels)
      : view_(view) {
    const auto count = element_count(view.shape);
    const auto positions = channels == 0 ? 0 : count / channels;
    position_step_ = view.channels_last ? channels : 1;
    channel_step_ = view.channels_last ? 1 : positions;
    if (quantization != nullptr && !view.codes.empty()) {
      scale_ = quantization->params.scale[0];
      zero_point_ = quantization->params.zero_point[0];
    }
  }

  [[nodiscard]] float get(std::int64_t channel, std::int64_t position) const {
    return element(channel * channel_step_ + position * position_step_);
  }
  [[nodiscard]] float element(std::int64_t i) const {
    if (view_.codes.empty()) return view_.values[at(i)];
    return dequantize_value(view_.codes[at(i)], scale_, zero_point_);
  }

 private:
  const TapView& view_;
  std::int64_t position_step_ = 1;
  std::int64_t channel_step_ = 1;
  float scale_ = 1;
  std::int32_t zero_point_ = 0;
};

std::uint64_t mixed(std::uint64_t x) {
  // splitmix64 (Steele, Lea, Flood 2014).
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace

std::vector<std::int64_t> draw_positions(std::int64_t total, std::int64_t count,
                                         std::uint64_t seed) {
  std::vector<std::int64_t> drawn;
  const auto parts = std::min(total, count);
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto begin = i * total / parts;
    const auto extent = static_cast<std::uint64_t>((i + 1) * total / parts - begin);
    const auto offset = mixed(seed * 0x100000001b3ULL + static_cast<std::uint64_t>(i)) % extent;
    drawn.push_back(begin + static_cast<std::int64_t>(offset));
  }
  return drawn;
}

std::optional<LayerRows> LayerRows::make(const Graph& graph, NodeId id) {
  LayerRows rows;
  rows.node_ = graph.node(id);
  const Tensor* weight = graph.constant(rows.node_.input(1));
  if (weight == nullptr || weight->size() == 0) return std::nullopt;
  rows.convolves_ = rows.node_.is("Conv");
  if (!rows.convolves_ && !rows.node_.is("Gemm") && !rows.node_.is("MatMul")) return std::nullopt;
  if (!rows.convolves_ && weight->rank() != 2) return std::nullopt;
  if (rows.convolves_ && weight->rank() != 3 && weight->rank() != 4) return std::nullopt;
  rows.weight_shape_ = weight->shape();
  rows.view_ = view_of(rows.node_, *weight);
  return rows;
}

std::int64_t LayerRows::positions(const TapView& input) const {
  if (!convolves_) {
    if (input.shape.size() < 2 || input.shape.back() != view_.inputs || input.channels_last) {
      return 0;
    }
    return element_count(input.shape) / view_.inputs;
  }
  if (input.shape.size() != weight_shape_.size() || input.shape[0] != 1) return 0;
  const auto geometry = resolve_conv(node_, input.shape, weight_shape_);
  return geometry ? element_count(geometry->output) : 0;
}

std::vector<float> LayerRows::inputs(const TapView& input, const Quantization* quantization,
                                     std::span<const std::int64_t> positions) const {
  if (convolves_) return window(input, quantization, positions);
  std::vector<float> rows;
  rows.reserve(positions.size() * at(view_.inputs));
  const Elements elements(input, quantization, 1);
  for (const auto position : positions) {
    for (std::int64_t i = 0; i < view_.inputs; ++i) {
      rows.push_back(elements.element(position * view_.inputs + i));
    }
  }
  return rows;
}

std::vector<float> LayerRows::window(const TapView& input, const Quantization* quantization,
                                     std::span<const std::int64_t> positions) const {
  const auto geometry = resolve_conv(node_, input.shape, weight_shape_);
  const Elements elements(input, quantization, view_.input_channels());
  const auto length = row_length();
  const auto count = static_cast<std::int64_t>(positions.size());
  std::vector<float> rows(at(view_.groups * count * length), 0.0F);
  const auto rank = geometry->rank();
  for (std::int64_t p = 0; p < count; ++p) {
    for (std::int64_t tap = 0; tap < view_.taps; ++tap) {
      auto rest_of_tap = tap;
      auto rest = positions[at(p)];
      std::int64_t offset = 0;
      std::int64_t step = 1;
      bool inside = true;
      for (std::size_t d = rank; d-- > 0;) {
        const auto o = rest % geometry->output[d];
        const auto k = rest_of_tap % geometry->kernel[d];
        rest /= geometry->output[d];
        rest_of_tap /= geometry->kernel[d];
        const auto extent = input.shape[d + 2];
        const auto x =
            o * geometry->strides[d] - geometry->pads_begin[d] + k * geometry->dilations[d];
        inside = inside && x >= 0 && x < extent;
        offset += x * step;
        step *= extent;
      }
      if (!inside) continue;
      for (std::int64_t c = 0; c < view_.input_channels(); ++c) {
        const auto group = c / view_.inputs;
        const auto i = c % view_.inputs;
        rows[at((group * count + p) * length + i * view_.taps + tap)] = elements.get(c, offset);
      }
    }
  }
  return rows;
}

std::vector<float> LayerRows::outputs(const TapView& output, const Quantization* quantization,
                                      std::span<const std::int64_t> positions) const {
  const auto channels = view_.output_channels();
  const auto count = static_cast<std::int64_t>(positions.size());
  const auto axis = convolves_ ? std::size_t{1} : output.shape.size() - 1;
  if (output.shape.size() < 2 || output.shape[axis] != channels) return {};
  if (!convolves_ && output.channels_last) return {};
  const Elements elements(output, quantization, convolves_ ? channels : 1);
  std::vector<float> rows(at(count * channels));
  for (std::int64_t p = 0; p < count; ++p) {
    const auto position = positions[at(p)];
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto group = c / view_.outputs;
      rows[at((group * count + p) * view_.outputs + c % view_.outputs)] =
          convolves_ ? elements.get(c, position) : elements.element(position * channels + c);
    }
  }
  return rows;
}

}  // namespace octet
