// Resize: RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR where they sample the same pixels.

#include <algorithm>
#include <array>
#include <cmath>

#include "formats/tflite/writer_operators.h"

namespace octet::tflite {
namespace {

/// How the file's two operators map output pixels to input ones.
enum class Sampling { plain, half_pixel, align_corners };

struct Axis {
  std::int64_t in = 0;   ///< negative: dynamic
  std::int64_t out = 0;  ///< negative: dynamic
  float scale = 0;
};

/// The pixel that LiteRT's nearest neighbour takes, in the f32 arithmetic of its kernels.
std::int64_t pixel_of(Sampling sampling, const Axis& axis, std::int64_t x) {
  const bool aligned = sampling == Sampling::align_corners && axis.out > 1;
  const float scale = aligned ? static_cast<float>(axis.in - 1) / static_cast<float>(axis.out - 1)
                              : static_cast<float>(axis.in) / static_cast<float>(axis.out);
  const float offset = sampling == Sampling::half_pixel ? 0.5F : 0.0F;
  const float at = (static_cast<float>(x) + offset) * scale;
  const float whole = sampling == Sampling::align_corners ? std::round(at) : std::floor(at);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(whole), 0, axis.in - 1);
}

/// Source coordinate by the ONNX operator specification.
std::optional<float> coordinate(const std::string& mode, const Axis& axis, std::int64_t x) {
  const auto at = static_cast<float>(x);
  if (mode == "asymmetric") return at / axis.scale;
  if (mode == "half_pixel") return (at + 0.5F) / axis.scale - 0.5F;
  if (mode == "pytorch_half_pixel") return axis.out > 1 ? (at + 0.5F) / axis.scale - 0.5F : 0.0F;
  if (mode == "align_corners") {
    return axis.out == 1 ? 0.0F
                         : at * static_cast<float>(axis.in - 1) / static_cast<float>(axis.out - 1);
  }
  return std::nullopt;
}

std::optional<std::int64_t> nearest(const Node& node, const Axis& axis, std::int64_t x) {
  const auto at =
      coordinate(node.string_attribute("coordinate_transformation_mode", "half_pixel"), axis, x);
  if (!at) return std::nullopt;
  const auto rounding = node.string_attribute("nearest_mode", "round_prefer_floor");
  const float whole = rounding == "floor"               ? std::floor(*at)
                      : rounding == "ceil"              ? std::ceil(*at)
                      : rounding == "round_prefer_ceil" ? std::floor(*at + 0.5F)
                                                        : std::ceil(*at - 0.5F);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(whole), 0, axis.in - 1);
}

bool samples_alike(const Node& node, const Axis& axis, Sampling sampling) {
  if (axis.in < 0 || axis.out < 0) {
    const auto mode = node.string_attribute("coordinate_transformation_mode", "half_pixel");
    const auto rounding = node.string_attribute("nearest_mode", "round_prefer_floor");
    switch (sampling) {
      case Sampling::half_pixel: return mode == "half_pixel" && rounding == "round_prefer_ceil";
      case Sampling::align_corners:
        return mode == "align_corners" && rounding == "round_prefer_ceil";
      case Sampling::plain: break;
    }
    if (mode == "asymmetric") return rounding == "floor";
    // Growing by a whole number takes each pixel that often, whatever the offset.
    const bool whole = axis.scale >= 1 && axis.scale == std::floor(axis.scale);
    return whole && mode.ends_with("half_pixel") && rounding.starts_with("round");
  }
  for (std::int64_t x = 0; x < axis.out; ++x) {
    if (nearest(node, axis, x) != pixel_of(sampling, axis, x)) return false;
  }
  return true;
}

class Resizer {
 public:
  Resizer(Lowering& l, const Job& job) : l_(l), job_(job), node_(*job.node) {}

  Status run() {
    const auto order = channels_last(4);
    OCTET_ASSIGN(input_, moved_input(l_, job_, CodesTaken::words, &order));
    if (input_.shape.size() != 4) return refused("only images are resized");
    OCTET_TRY(find_axes());
    const auto mode = node_.string_attribute("mode", "nearest");
    if (node_.int_attribute("antialias", 0) != 0) return refused("antialias");
    if (mode == "nearest") return nearest_neighbour();
    return mode == "linear" ? bilinear() : Status(refused("mode {}", mode));
  }

 private:
  /// Entry of a list of scales for this axis of the input, or nothing.
  std::optional<float> stated_scale(std::span<const float> scales, std::int64_t axis) const {
    const auto axes = node_.ints_attribute("axes");
    if (axes.empty()) return scales[static_cast<std::size_t>(axis)];
    for (std::size_t i = 0; i < axes.size(); ++i) {
      if (axes[i] == axis || axes[i] + 4 == axis) return scales[i];
    }
    return std::nullopt;
  }

  Status find_axes() {
    OCTET_ASSIGN(const auto output, l_.shape(job_.output));
    if (input_.shape[0] != output[0] || input_.shape[1] != output[1]) {
      return refused("it resizes batch or channels");
    }
    const auto* scales = node_.input(2) == ValueId::none ? nullptr : l_.known(node_.input(2));
    const bool by_scales = node_.input(3) == ValueId::none;
    if (by_scales && (scales == nullptr || scales->dtype() != DType::f32)) {
      return refused("its scales are not constant");
    }
    if (node_.string_attribute("keep_aspect_ratio_policy", "stretch") != "stretch") {
      return refused("keep_aspect_ratio_policy");
    }
    for (std::size_t i = 0; i < 2; ++i) {
      axes_[i] = {input_.shape[i + 2], output[i + 2], 0.0F};
      auto& axis = axes_[i];
      if (axis.in > 0) axis.scale = static_cast<float>(axis.out) / static_cast<float>(axis.in);
      if (!by_scales) continue;
      const auto number = static_cast<std::int64_t>(i) + 2;
      axis.scale = stated_scale(scales->values<float>(), number).value_or(1.0F);
    }
    return {};
  }

  /// [height, width] as an i32 tensor.
  Result<TensorId> size_tensor(TensorId result) {
    const auto stated = node_.input(3);
    if (stated != ValueId::none && !l_.is_constant(stated) && !l_.are_extents(stated)) {
      if (node_.ints_attribute("axes") != std::vector<std::int64_t>{2, 3}) {
        return refused("its sizes depend on data");
      }
      return l_.narrow_ints(stated);
    }
    std::vector<TensorId> parts;
    for (const auto& axis : axes_) {
      if (axis.out >= 0) {
        const auto extent = static_cast<std::int32_t>(axis.out);
        parts.push_back(
            l_.operand_constant(result, "/size", Tensor::from<std::int32_t>({extent}, {1})));
        continue;
      }
      const bool whole = axis.scale >= 1 && axis.scale == std::floor(axis.scale);
      if (whole) {
        l_.grow_extent(input_.tensor, axis.in, axis.out, static_cast<std::int64_t>(axis.scale), 0);
      }
      const auto found = l_.extent_tensor({input_.tensor}, axis.out);
      if (!found) return refused("its output's extents depend on data");
      parts.push_back(*found);
    }
    if (axes_[0].out >= 0 && axes_[1].out >= 0) {
      return l_.invented_ints(result, "/size", std::array{axes_[0].out, axes_[1].out});
    }
    const auto joined = l_.derived(parts[0], "_size", {2});
    l_.emit(Op::CONCATENATION, parts, {joined}, wire::ConcatenationOptionsT());
    return joined;
  }

  Status nearest_neighbour() {
    for (const auto sampling : {Sampling::plain, Sampling::half_pixel, Sampling::align_corners}) {
      if (!samples_alike(node_, axes_[0], sampling) || !samples_alike(node_, axes_[1], sampling)) {
        continue;
      }
      const auto result = l_.make(job_.output, input_.coding, input_.order);
      OCTET_ASSIGN(const auto size, size_tensor(result));
      wire::ResizeNearestNeighborOptionsT options;
      options.half_pixel_centers = sampling == Sampling::half_pixel;
      options.align_corners = sampling == Sampling::align_corners;
      l_.emit(Op::RESIZE_NEAREST_NEIGHBOR, {input_.tensor, size}, {result}, options);
      return {};
    }
    return gather();
  }

  /// The pixels of each axis by number.
  Status gather() {
    auto from = input_.tensor;
    const auto result = l_.make(job_.output, input_.coding, input_.order);
    for (std::size_t i = 0; i < 2; ++i) {
      const auto& axis = axes_[i];
      if (axis.in < 0 || axis.out < 0) return refused("nearest pixels of unknown extents");
      std::vector<std::int64_t> indices;
      for (std::int64_t x = 0; x < axis.out; ++x) {
        const auto pixel = nearest(node_, axis, x);
        if (!pixel) return refused("its coordinate transformation");
        indices.push_back(*pixel);
      }
      auto shape = l_.tensor_shape(from);
      shape[i + 1] = axis.out;
      const auto to = i == 1 ? result : l_.derived(result, "_rows", shape);
      wire::GatherOptionsT options;
      options.axis = static_cast<int>(i) + 1;
      l_.emit(Op::GATHER, {from, l_.invented_ints(to, "/indices", indices)}, {to}, options);
      from = to;
    }
    return {};
  }

  Status bilinear() {
    const auto mode = node_.string_attribute("coordinate_transformation_mode", "half_pixel");
    wire::ResizeBilinearOptionsT options;
    options.half_pixel_centers = mode == "half_pixel" || mode == "pytorch_half_pixel";
    options.align_corners = mode == "align_corners";
    if (!options.half_pixel_centers && !options.align_corners && mode != "asymmetric") {
      return refused("coordinate transformation {}", mode);
    }
    for (const auto& axis : axes_) {
      if (mode == "pytorch_half_pixel" && axis.out == 1) return refused("mode {} to 1", mode);
      // The file's operator knows extents only.
      if (mode == "align_corners" || axis.in < 0 || axis.out < 0) continue;
      if (axis.scale * static_cast<float>(axis.in) != static_cast<float>(axis.out) &&
          axis.scale != static_cast<float>(axis.out) / static_cast<float>(axis.in)) {
        return refused("its scale is not that of its extents");
      }
    }
    const auto result = l_.make(job_.output, input_.coding, input_.order);
    OCTET_ASSIGN(const auto size, size_tensor(result));
    l_.emit(Op::RESIZE_BILINEAR, {input_.tensor, size}, {result}, options);
    return {};
  }

  Lowering& l_;
  const Job& job_;
  const Node& node_;
  Moved input_;
  std::array<Axis, 2> axes_;
};

}  // namespace

Status lower_resize(Lowering& l, const Job& job) { return Resizer(l, job).run(); }

}  // namespace octet::tflite
