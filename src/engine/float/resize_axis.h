#pragma once
// Resize along one axis: which input elements an output element is made of, and with what weights.
// Resize is separable: the operator is one such step after another.

#include <cstdint>
#include <vector>

#include "core/result.h"
#include "graph/graph.h"

namespace octet::float_engine {

enum class ResizeMode { nearest, linear, cubic };
enum class Coordinates {
  half_pixel,
  half_pixel_symmetric,
  pytorch_half_pixel,
  align_corners,
  asymmetric,
  tf_crop_and_resize,
};
enum class NearestMode { round_prefer_floor, round_prefer_ceil, floor, ceil };

/// The attributes that do not depend on shapes.
struct ResizeOptions {
  ResizeMode mode = ResizeMode::nearest;
  Coordinates coordinates = Coordinates::half_pixel;
  NearestMode nearest = NearestMode::round_prefer_floor;
  bool antialias = false;
  bool exclude_outside = false;
  float cubic_coefficient = -0.75F;
  float extrapolation_value = 0;
};
[[nodiscard]] Result<ResizeOptions> resize_options(const Node& node);

/// One axis to resize.
struct ResizeAxis {
  std::int64_t input = 1;
  std::int64_t output = 1;
  float scale = 1;
  float roi_start = 0;  ///< tf_crop_and_resize, as shares of the extent
  float roi_end = 1;

  /// Nothing to do, whatever the mode?
  [[nodiscard]] bool is_identity(const ResizeOptions& options) const {
    return input == output && scale == 1.0F &&
           options.coordinates != Coordinates::tf_crop_and_resize;
  }
};

/// `indices` and `weights` hold for each output element `taps` entries.
struct AxisTable {
  std::int64_t taps = 1;
  std::vector<std::int64_t> indices;
  std::vector<float> weights;  ///< empty for ResizeMode::nearest
  std::vector<bool> outside;   ///< tf_crop_and_resize: takes the extrapolation value
};

/// Formulas of the ONNX operator specification, coordinates in float32 as ONNX Runtime computes
/// them (which decides ties of ResizeMode::nearest). The output's extent in align_corners and
/// tf_crop_and_resize is the whole number, as in ONNX Runtime and PyTorch; the specification's
/// reference implementation takes input * scale there, which differs where the scale is given and
/// the product has a fraction.
[[nodiscard]] AxisTable axis_table(const ResizeAxis& axis, const ResizeOptions& options);

}  // namespace octet::float_engine
