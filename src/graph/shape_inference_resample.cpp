// Shape rules of operators that change the resolution of images: Resize, DepthToSpace,
// SpaceToDepth.

#include <algorithm>
#include <numeric>

#include "graph/resize.h"
#include "graph/shape_inference_rules.h"

namespace octet::shape_rules {
namespace {

/// The input is there and has entries, as far as can be told: older opsets leave scales empty
/// where sizes are given.
bool is_given(const Context& context, std::size_t i) {
  if (context.input(i) == nullptr) return false;
  const auto* shape = context.shape(i);
  return shape == nullptr || *shape != Shape{0};
}

std::optional<std::vector<float>> known_reals(const PartialInts& numbers) {
  std::vector<float> values;
  for (const auto& element : numbers.elements) {
    if (!element.is_real()) return std::nullopt;
    values.push_back(static_cast<float>(element.real()));
  }
  return values;
}

/// Sizes of which some follow dynamic dimensions, as in "twice as high, the batch as it is".
Status set_partial_sizes(Context& context, const PartialInts& sizes) {
  const auto* input = context.shape(0);
  const auto& node = context.node();
  auto axes = node.ints_attribute("axes");
  if (axes.empty()) {
    axes.resize(input->size());
    std::iota(axes.begin(), axes.end(), 0);
  }
  if (sizes.elements.size() != axes.size()) {
    return bad_input("{} sizes where {} axes are resized", sizes.elements.size(), axes.size());
  }
  const bool stretches = node.string_attribute("keep_aspect_ratio_policy", "stretch") == "stretch";
  auto output = *input;
  for (std::size_t i = 0; i < axes.size(); ++i) {
    OCTET_ASSIGN(const auto axis, normalize_axis(axes[i], output.size()));
    const auto& size = sizes.elements[i];
    if (size.is_known() && size.value < 0) return bad_input("the size {} is negative", size.value);
    const bool told = stretches && size.kind != PartialInt::Kind::unknown;
    output[static_cast<std::size_t>(axis)] = told ? size.value : dynamic_dim;
  }
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Result<std::int64_t> block_size(const Context& context) {
  constexpr std::int64_t limit = std::int64_t{1} << 16;
  const auto size = context.node().int_attribute("blocksize", 0);
  if (size < 1 || size > limit) return bad_input("blocksize {} is out of range", size);
  return size;
}

/// Checks rank 4; nullptr when the shape is not known.
Result<const Shape*> image_shape(const Context& context) {
  const auto* input = context.shape(0);
  if (input != nullptr && input->size() != 4) {
    return bad_input("the input {} is not of rank 4", text(*input));
  }
  return input;
}

std::int64_t times(std::int64_t extent, std::int64_t factor) {
  if (extent < 0) return factor == 1 ? extent : dynamic_dim;
  return extent * factor;
}

Result<std::int64_t> divided(std::int64_t extent, std::int64_t divisor) {
  if (extent < 0) return divisor == 1 ? extent : dynamic_dim;
  if (extent % divisor != 0) return bad_input("{} does not divide {}", divisor, extent);
  return extent / divisor;
}

}  // namespace

Status resize(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  context.set(0, context.dtype(0), Shape(input->size(), dynamic_dim));
  const bool has_scales = is_given(context, 2);
  const bool has_sizes = is_given(context, 3);
  if (has_scales == has_sizes) return bad_input("needs either scales or sizes");
  std::vector<float> scales;
  std::vector<std::int64_t> sizes;
  if (has_scales) {
    const auto numbers = context.numbers(2);
    const auto values = numbers ? known_reals(*numbers) : std::nullopt;
    if (!values) return {};
    scales = *values;
  } else {
    const auto integers = context.integers(3);
    if (!integers) return {};
    const auto values = all_known(*integers);
    if (!values) return set_partial_sizes(context, *integers);
    sizes = *values;
  }
  OCTET_ASSIGN(auto geometry,
               resolve_resize(context.node(), without_symbols(*input), scales, sizes));
  for (std::size_t i = 0; i < input->size(); ++i) {
    const bool kept = geometry.output[i] == dynamic_dim && geometry.scales[i] == 1.0F;
    if (kept) geometry.output[i] = (*input)[i];
  }
  context.set(0, context.dtype(0), std::move(geometry.output));
  return {};
}

Status depth_to_space(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  OCTET_ASSIGN(const auto block, block_size(context));
  OCTET_ASSIGN(const auto* input, image_shape(context));
  if (input == nullptr) return {};
  Shape output = *input;
  OCTET_ASSIGN(output[1], divided(output[1], block * block));
  output[2] = times(output[2], block);
  output[3] = times(output[3], block);
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status space_to_depth(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  OCTET_ASSIGN(const auto block, block_size(context));
  OCTET_ASSIGN(const auto* input, image_shape(context));
  if (input == nullptr) return {};
  Shape output = *input;
  if (output[1] > extent_limit / (block * block)) return bad_input("the result is too large");
  output[1] = times(output[1], block * block);
  OCTET_ASSIGN(output[2], divided(output[2], block));
  OCTET_ASSIGN(output[3], divided(output[3], block));
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

}  // namespace octet::shape_rules
