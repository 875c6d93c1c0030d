#include "engine/float/resize_axis.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>

namespace octet::float_engine {
namespace {

template <class T, std::size_t n>
Result<T> choice(const Node& node, std::string_view attribute, std::string_view fallback,
                 const std::array<std::pair<std::string_view, T>, n>& choices) {
  const auto text = node.string_attribute(attribute, fallback);
  for (const auto& [word, value] : choices) {
    if (text == word) return value;
  }
  return bad_input("{} {} does not exist", attribute, text);
}

constexpr std::array<std::pair<std::string_view, ResizeMode>, 3> modes{
    {{"nearest", ResizeMode::nearest},
     {"linear", ResizeMode::linear},
     {"cubic", ResizeMode::cubic}}};
constexpr std::array<std::pair<std::string_view, Coordinates>, 6> coordinate_modes{
    {{"half_pixel", Coordinates::half_pixel},
     {"half_pixel_symmetric", Coordinates::half_pixel_symmetric},
     {"pytorch_half_pixel", Coordinates::pytorch_half_pixel},
     {"align_corners", Coordinates::align_corners},
     {"asymmetric", Coordinates::asymmetric},
     {"tf_crop_and_resize", Coordinates::tf_crop_and_resize}}};
constexpr std::array<std::pair<std::string_view, NearestMode>, 4> nearest_modes{
    {{"round_prefer_floor", NearestMode::round_prefer_floor},
     {"round_prefer_ceil", NearestMode::round_prefer_ceil},
     {"floor", NearestMode::floor},
     {"ceil", NearestMode::ceil}}};

/// Where the output element lies on the input.
float coordinate(const ResizeAxis& axis, Coordinates mode, std::int64_t element) {
  const auto x = static_cast<float>(element);
  const auto input = static_cast<float>(axis.input);
  const auto output = static_cast<float>(axis.output);
  switch (mode) {
    case Coordinates::half_pixel: return (x + 0.5F) / axis.scale - 0.5F;
    case Coordinates::pytorch_half_pixel:
      return axis.output > 1 ? (x + 0.5F) / axis.scale - 0.5F : 0;
    case Coordinates::half_pixel_symmetric: {
      const float adjustment = output / (axis.scale * input);
      const float offset = input / 2 * (1 - adjustment);
      return offset + (x + 0.5F) / axis.scale - 0.5F;
    }
    case Coordinates::align_corners: return axis.output == 1 ? 0 : x * (input - 1) / (output - 1);
    case Coordinates::asymmetric: return x / axis.scale;
    case Coordinates::tf_crop_and_resize: {
      const float extent = (axis.roi_end - axis.roi_start) * (input - 1);
      const float inner = axis.output == 1 ? extent / 2 : x * extent / (output - 1);
      return axis.roi_start * (input - 1) + inner;
    }
  }
  return x;
}

float cubic_kernel(float x, float a) {
  x = std::fabs(x);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
  return 0;
}

float kernel(const ResizeOptions& options, float x) {
  if (options.mode == ResizeMode::cubic) return cubic_kernel(x, options.cubic_coefficient);
  return std::max(1 - std::fabs(x), 0.0F);
}

std::int64_t nearest_index(NearestMode mode, float x) {
  const float below = std::floor(x);
  const float part = x - below;
  const auto index = static_cast<std::int64_t>(below);
  switch (mode) {
    case NearestMode::floor: return index;
    case NearestMode::ceil: return part > 0 ? index + 1 : index;
    case NearestMode::round_prefer_floor: return part > 0.5F ? index + 1 : index;
    case NearestMode::round_prefer_ceil: return part >= 0.5F ? index + 1 : index;
  }
  return index;
}

/// Weights of the neighbours of `x`, normalised; indices limited to the input.
void add_taps(const ResizeAxis& axis, const ResizeOptions& options, float x, float kernel_scale,
              AxisTable& table) {
  // The neighbours lie symmetrically around the gap to the left of an integer x.
  const float base = std::ceil(x) - 1;
  const auto first = static_cast<std::int64_t>(base) + 1 - table.taps / 2;
  const std::size_t start = table.weights.size();
  double sum = 0;
  for (std::int64_t i = 0; i < table.taps; ++i) {
    const float distance = static_cast<float>(i + 1 - table.taps / 2) - (x - base);
    float weight = kernel(options, distance * kernel_scale);
    const std::int64_t index = first + i;
    if (options.exclude_outside && (index < 0 || index >= axis.input)) weight = 0;
    table.indices.push_back(std::clamp<std::int64_t>(index, 0, axis.input - 1));
    table.weights.push_back(weight);
    sum += static_cast<double>(weight);
  }
  for (std::size_t i = start; i < table.weights.size() && sum != 0; ++i) {
    table.weights[i] = static_cast<float>(static_cast<double>(table.weights[i]) / sum);
  }
}

}  // namespace

Result<ResizeOptions> resize_options(const Node& node) {
  ResizeOptions options;
  OCTET_ASSIGN(options.mode, choice(node, "mode", "nearest", modes));
  OCTET_ASSIGN(options.coordinates,
               choice(node, "coordinate_transformation_mode", "half_pixel", coordinate_modes));
  OCTET_ASSIGN(options.nearest, choice(node, "nearest_mode", "round_prefer_floor", nearest_modes));
  options.antialias = node.int_attribute("antialias", 0) != 0;
  options.exclude_outside = node.int_attribute("exclude_outside", 0) != 0;
  options.cubic_coefficient = node.float_attribute("cubic_coeff_a", -0.75F);
  options.extrapolation_value = node.float_attribute("extrapolation_value", 0.0F);
  return options;
}

AxisTable axis_table(const ResizeAxis& axis, const ResizeOptions& options) {
  const bool crops = options.coordinates == Coordinates::tf_crop_and_resize;
  const auto last = static_cast<float>(axis.input - 1);
  AxisTable table;
  if (crops) table.outside.resize(static_cast<std::size_t>(axis.output));
  // Antialiasing widens the kernel by as much as the axis shrinks.
  const float kernel_scale = options.antialias ? std::min(axis.scale, 1.0F) : 1.0F;
  const float radius = options.mode == ResizeMode::cubic ? 2.0F : 1.0F;
  if (options.mode != ResizeMode::nearest) {
    table.taps = 2 * static_cast<std::int64_t>(std::ceil(radius / kernel_scale));
  }
  for (std::int64_t i = 0; i < axis.output; ++i) {
    float x = coordinate(axis, options.coordinates, i);
    if (crops && !(x >= 0 && x <= last)) table.outside[static_cast<std::size_t>(i)] = true;
    // Nothing beyond one kernel outside differs from the edge; also tames damaged regions.
    const auto margin = static_cast<float>(table.taps);
    x = x >= -margin ? std::min(x, last + margin) : -margin;
    if (options.mode == ResizeMode::nearest) {
      const std::int64_t index = nearest_index(options.nearest, x);
      table.indices.push_back(std::clamp<std::int64_t>(index, 0, axis.input - 1));
    } else {
      add_taps(axis, options, x, kernel_scale, table);
    }
  }
  return table;
}

}  // namespace octet::float_engine
