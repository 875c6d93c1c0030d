// Operators that make each element of the result of a few elements along one axis, axis by axis:
// Resize (Jacobian: the table of weights, transposed backward) and Pad.

#include <algorithm>
#include <array>

#include "core/tensor.h"
#include "engine/float/resize_axis.h"
#include "engine/float/vector_clones.h"
#include "engine/gradient/gradient_op.h"
#include "graph/resize.h"

namespace octet::gradient {
namespace {

constexpr std::int64_t filled = -1;

/// Along one axis of a dense array [outer, extent, inner]:
/// y[i] = sum over t < taps of weights[i, t] * x[indices[i, t]]; an index `filled` stands for a
/// constant, an empty list of weights for ones.
struct AxisMap {
  std::int64_t outer = 1;
  std::int64_t inner = 1;
  std::int64_t input = 1;
  std::int64_t taps = 1;
  std::vector<std::int64_t> indices;
  std::vector<float> weights;

  [[nodiscard]] std::int64_t output() const {
    return static_cast<std::int64_t>(indices.size()) / taps;
  }
  [[nodiscard]] std::int64_t inputs() const { return outer * input * inner; }
  [[nodiscard]] std::int64_t outputs() const { return outer * output() * inner; }
  [[nodiscard]] float weight(std::size_t entry) const {
    return weights.empty() ? 1.0F : weights[entry];
  }
};

OCTET_INLINE void add_row(const float* from, float weight, std::int64_t count, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] += weight * from[i];
}

OCTET_VECTOR_CLONES void apply(const AxisMap& map, float constant, const float* x, float* y) {
  for (std::int64_t o = 0; o < map.outer; ++o) {
    const float* in = x + o * map.input * map.inner;
    for (std::size_t entry = 0; entry < map.indices.size();) {
      std::fill_n(y, map.inner, map.indices[entry] == filled ? constant : 0.0F);
      for (std::int64_t t = 0; t < map.taps; ++t, ++entry) {
        if (map.indices[entry] == filled || map.weight(entry) == 0) continue;
        add_row(in + map.indices[entry] * map.inner, map.weight(entry), map.inner, y);
      }
      y += map.inner;
    }
  }
}

/// Adds the gradient of x to `sums`.
OCTET_VECTOR_CLONES void apply_transposed(const AxisMap& map, const float* g, float* sums) {
  for (std::int64_t o = 0; o < map.outer; ++o) {
    float* to = sums + o * map.input * map.inner;
    for (std::size_t entry = 0; entry < map.indices.size();) {
      for (std::int64_t t = 0; t < map.taps; ++t, ++entry) {
        if (map.indices[entry] == filled) continue;
        add_row(g, map.weight(entry), map.inner, to + map.indices[entry] * map.inner);
      }
      g += map.inner;
    }
  }
}

class ResampleGradient : public GradientOp {
 public:
  ResampleGradient(std::vector<AxisMap> maps, std::int64_t count, float constant)
      : maps_(std::move(maps)), count_(count), constant_(constant) {}

  Status forward(const ForwardCall& call) const override {
    if (maps_.empty()) std::copy_n(call.inputs[0], count_, call.output);
    std::vector<Tensor> between(maps_.size());
    const float* x = call.inputs[0];
    for (std::size_t k = 0; k < maps_.size(); ++k) {
      float* y = call.output;
      if (k + 1 < maps_.size()) {
        between[k] = Tensor(DType::f32, {maps_[k].outputs()});
        y = between[k].mutable_data<float>();
      }
      apply(maps_[k], constant_, x, y);
      x = y;
    }
    return {};
  }

  Status backward(const BackwardCall& call) const override {
    const Target& target = call.input_gradients[0];
    if (!target) return {};
    if (maps_.empty()) deliver(target, call.output_gradient, count_);
    Tensor gradient, next;
    const float* g = call.output_gradient;
    for (std::size_t k = maps_.size(); k-- > 0;) {
      float* to = target.data;
      if (k > 0) {
        next = Tensor(DType::f32, {maps_[k].inputs()});
        to = next.mutable_data<float>();
      }
      if (k > 0 || !target.add) std::fill_n(to, maps_[k].inputs(), 0.0F);
      apply_transposed(maps_[k], g, to);
      std::swap(gradient, next);
      g = to;
    }
    return {};
  }

 private:
  std::vector<AxisMap> maps_;
  std::int64_t count_;
  float constant_;
};

/// Where an axis lies in memory, once those before it have their new extents.
AxisMap axis_map(const Shape& shape, std::size_t axis, bool parameter) {
  AxisMap map;
  map.input = shape[axis];
  map.inner = strides_of(shape, parameter)[axis];
  map.outer = element_count(shape) / (map.inner * map.input);
  return map;
}

Result<std::vector<float>> constant_floats(const OpSource& source, std::size_t input) {
  const Tensor* given = source.constant(input);
  if (given == nullptr || given->size() == 0) return std::vector<float>{};
  OCTET_ASSIGN(const Tensor numbers, to_f32(*given));
  const auto values = numbers.values<float>();
  return std::vector<float>(values.begin(), values.end());
}

/// Output elements for one of the input, by axis. Sizes that the graph computes are those of the
/// output.
Result<std::vector<float>> resize_scales(const OpSource& source) {
  const Shape& in = source.inputs[0];
  OCTET_ASSIGN(const auto scales, constant_floats(source, 2));
  std::vector<std::int64_t> sizes;
  if (const Tensor* given = source.constant(3)) {
    OCTET_ASSIGN(sizes, to_int64(*given));
  }
  if (!scales.empty() || !sizes.empty()) {
    OCTET_ASSIGN(auto geometry, resolve_resize(source.node, in, scales, sizes));
    return std::move(geometry.scales);
  }
  std::vector<float> found;
  for (std::size_t i = 0; i < in.size(); ++i) {
    found.push_back(static_cast<float>(source.output[i]) / static_cast<float>(in[i]));
  }
  return found;
}

MadeOp make_resize(const OpSource& source) {
  OCTET_ASSIGN(const auto options, float_engine::resize_options(source.node));
  if (options.coordinates == float_engine::Coordinates::tf_crop_and_resize) {
    return bad_input("octet does not train a Resize that crops");
  }
  OCTET_ASSIGN(const auto scales, resize_scales(source));
  Shape shape = source.inputs[0];
  std::vector<AxisMap> maps;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const float_engine::ResizeAxis axis{shape[i], source.output[i], scales[i]};
    if (axis.is_identity(options)) continue;
    AxisMap map = axis_map(shape, i, source.parameters[0]);
    auto table = float_engine::axis_table(axis, options);
    map.taps = table.taps;
    map.indices = std::move(table.indices);
    map.weights = std::move(table.weights);
    maps.push_back(std::move(map));
    shape[i] = source.output[i];
  }
  return std::make_unique<ResampleGradient>(std::move(maps), element_count(shape), 0.0F);
}

/// The element of an axis that a place before, in or after it repeats.
Result<std::int64_t> padded_index(const std::string& mode, std::int64_t place,
                                  std::int64_t extent) {
  const bool inside = place >= 0 && place < extent;
  if (inside) return place;
  if (mode == "constant") return filled;
  if (mode == "edge") return std::clamp<std::int64_t>(place, 0, extent - 1);
  if (mode == "wrap") return (place % extent + extent) % extent;
  if (mode != "reflect") return bad_input("padding {} does not exist", mode);
  if (extent == 1) return 0;
  const auto period = 2 * (extent - 1);
  const auto folded = (place % period + period) % period;
  return folded < extent ? folded : period - folded;
}

/// Elements before and after each axis.
Result<std::vector<std::pair<std::int64_t, std::int64_t>>> pads_of(const OpSource& source) {
  const auto rank = source.inputs[0].size();
  std::vector<std::pair<std::int64_t, std::int64_t>> pads(rank);
  const Tensor* given = source.constant(1);
  const bool known = given != nullptr && (!source.has(3) || source.constant(3) != nullptr);
  if (!known) return bad_input("its paddings are no constants");
  OCTET_ASSIGN(const auto numbers, to_int64(*given));
  std::vector<std::int64_t> axes;
  for (std::size_t i = 0; i < rank; ++i) axes.push_back(static_cast<std::int64_t>(i));
  if (source.has(3)) {
    OCTET_ASSIGN(axes, to_int64(*source.constant(3)));
  }
  if (numbers.size() != 2 * axes.size()) return bad_input("{} paddings", numbers.size());
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const auto axis = axes[i] < 0 ? axes[i] + static_cast<std::int64_t>(rank) : axes[i];
    if (axis < 0 || axis >= static_cast<std::int64_t>(rank)) return bad_input("axis {}", axes[i]);
    pads[static_cast<std::size_t>(axis)] = {numbers[i], numbers[axes.size() + i]};
  }
  return pads;
}

MadeOp make_pad(const OpSource& source) {
  OCTET_ASSIGN(const auto pads, pads_of(source));
  OCTET_ASSIGN(const auto constant, constant_floats(source, 2));
  const auto mode = source.node.string_attribute("mode", "constant");
  Shape shape = source.inputs[0];
  std::vector<AxisMap> maps;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    const auto [before, after] = pads[i];
    if (before == 0 && after == 0) continue;
    AxisMap map = axis_map(shape, i, source.parameters[0]);
    // What negative paddings leave is padded.
    const auto skipped = std::max<std::int64_t>(-before, 0);
    const auto left = shape[i] - skipped - std::max<std::int64_t>(-after, 0);
    if (left < 1) return bad_input("padding leaves nothing of an axis");
    const auto first = std::min<std::int64_t>(-before, 0);
    for (std::int64_t k = first; k < left + std::max<std::int64_t>(after, 0); ++k) {
      OCTET_ASSIGN(const auto index, padded_index(mode, k, left));
      map.indices.push_back(index == filled ? filled : index + skipped);
    }
    shape[i] += before + after;
    maps.push_back(std::move(map));
  }
  return std::make_unique<ResampleGradient>(std::move(maps), element_count(shape),
                                            constant.empty() ? 0.0F : constant[0]);
}

constexpr auto entries = std::to_array<OpEntry>({{"Resize", make_resize}, {"Pad", make_pad}});

}  // namespace

std::span<const OpEntry> resample_entries() { return entries; }

}  // namespace octet::gradient
