// Shape rules of convolution, pooling and normalization: tensors [N, C, spatial...].

#include <algorithm>

#include "graph/onnx_dtype.h"
#include "graph/shape_inference_rules.h"
#include "graph/spatial.h"

namespace octet::shape_rules {
namespace {

/// Spatial extents of the output; a dynamic one keeps its symbol where the geometry preserves it.
void append_spatial(Shape& output, const Shape& input, const SpatialGeometry& geometry) {
  for (std::size_t i = 0; i < geometry.rank(); ++i) {
    const auto pads = geometry.pads_begin[i] + geometry.pads_end[i];
    const bool preserved =
        geometry.strides[i] == 1 && pads == geometry.effective_kernel(i) - 1 && input[i + 2] < 0;
    output.push_back(preserved ? input[i + 2] : geometry.output[i]);
  }
}

/// Which inputs of a convolution hold what, and the type of the result.
struct ConvInputs {
  std::size_t data = 0;
  std::size_t weight = 1;
  std::size_t bias = 2;
  DType result = DType::undefined;
};

Status check_channels(const Node& node, const Shape& input, const Shape& weight) {
  const auto group = node.int_attribute("group", 1);
  const auto outputs = weight[0];
  const auto channels = input[1];
  if (group < 1 || (outputs >= 0 && (outputs < 1 || outputs % group != 0))) {
    return bad_input("group {} does not divide the {} output channels of weight {}", group, outputs,
                     text(weight));
  }
  // Both factors are below 2^40 and, with the division first, the product can't overflow.
  if (channels >= 0 && (channels % group != 0 || differ(channels / group, weight[1]))) {
    return bad_input(
        "input {} has {} channels where weight {} with group {} needs {} in each group",
        text(input), channels, text(weight), group, weight[1]);
  }
  return {};
}

Status check_bias(const Shape* bias, std::int64_t outputs) {
  if (bias == nullptr || (bias->size() == 1 && !differ((*bias)[0], outputs))) return {};
  return bad_input("bias {} does not fit the {} output channels", text(*bias), outputs);
}

Status set_conv(Context& context, const ConvInputs& inputs) {
  context.set(0, inputs.result, std::nullopt);
  const auto* input = context.shape(inputs.data);
  const auto* weight = context.shape(inputs.weight);
  if (input == nullptr || weight == nullptr) return {};
  if (std::any_of(weight->begin(), weight->end(), [](auto dim) { return dim < 0; })) {
    // A weight that is computed; only its rank and channels can be told.
    if (weight->size() != input->size() || input->size() < 3) {
      return bad_input("input {} and weight {} differ in rank", text(*input), text(*weight));
    }
    Shape output(input->size(), dynamic_dim);
    output[0] = (*input)[0];
    output[1] = (*weight)[0];
    context.set(0, inputs.result, std::move(output));
    return {};
  }
  OCTET_ASSIGN(const auto geometry, resolve_conv(context.node(), without_symbols(*input), *weight));
  OCTET_TRY(check_channels(context.node(), *input, *weight));
  OCTET_TRY(check_bias(context.shape(inputs.bias), (*weight)[0]));
  Shape output{(*input)[0], (*weight)[0]};
  append_spatial(output, *input, geometry);
  context.set(0, inputs.result, std::move(output));
  return {};
}

/// Scale, bias and the like: one number for each of the input's channels.
Status check_parameter(const Context& context, std::size_t i, std::int64_t channels) {
  const auto* parameter = context.shape(i);
  if (parameter == nullptr) return {};
  if (parameter->size() == 1 && !differ((*parameter)[0], channels)) return {};
  return bad_input("parameter {} does not fit the {} channels of the input", text(*parameter),
                   channels);
}

}  // namespace

Status conv(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  return set_conv(context, {0, 1, 2, context.dtype(0)});
}

/// x, w, and the zero points of both.
Status conv_integer(Context& context) {
  return set_conv(context, {0, 1, context.node().inputs.size(), DType::i32});
}

/// x, its scale and zero point, w, the same, scale and zero point of the result, bias.
Status qlinear_conv(Context& context) { return set_conv(context, {0, 3, 8, context.dtype(7)}); }

Status conv_transpose(Context& context) {
  OCTET_TRY(check_same_type(context.dtype(0), context.dtype(1)));
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  const auto* weight = context.shape(1);
  if (input == nullptr || weight == nullptr) return {};
  if (weight->size() >= 2 &&
      std::any_of(weight->begin() + 2, weight->end(), [](auto dim) { return dim < 0; })) {
    return {};
  }
  OCTET_ASSIGN(const auto geometry, resolve_conv_transpose(context.node(), without_symbols(*input),
                                                           without_symbols(*weight)));
  const auto group = context.node().int_attribute("group", 1);
  std::int64_t outputs = dynamic_dim;
  if ((*weight)[1] >= 0 && __builtin_mul_overflow((*weight)[1], group, &outputs)) {
    return bad_input("group {} is out of range", group);
  }
  OCTET_TRY(check_bias(context.shape(2), outputs));
  Shape output{(*input)[0], outputs};
  output.insert(output.end(), geometry.output.begin(), geometry.output.end());
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status pool(Context& context) {
  const auto* input = context.shape(0);
  std::optional<Shape> output;
  if (input != nullptr) {
    OCTET_ASSIGN(const auto geometry, resolve_pool(context.node(), without_symbols(*input)));
    output = Shape{(*input)[0], (*input)[1]};
    append_spatial(*output, *input, geometry);
  }
  context.set(0, context.dtype(0), output);
  context.set(1, DType::i64, output);
  return {};
}

Status global_pool(Context& context) {
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  if (input->size() < 3) {
    return bad_input("input {} has no spatial dimensions after batch and channels", text(*input));
  }
  Shape output(input->size(), 1);
  output[0] = (*input)[0];
  output[1] = (*input)[1];
  context.set(0, context.dtype(0), std::move(output));
  return {};
}

Status batch_normalization(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  if (input->size() < 2) return bad_input("input {} has no channels", text(*input));
  for (std::size_t i = 1; i < 5; ++i) OCTET_TRY(check_parameter(context, i, (*input)[1]));
  return {};
}

Status instance_normalization(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  if (input == nullptr) return {};
  if (input->size() < 3) {
    return bad_input("input {} has no dimensions after batch and channels", text(*input));
  }
  for (std::size_t i = 1; i < 3; ++i) OCTET_TRY(check_parameter(context, i, (*input)[1]));
  return {};
}

Status group_normalization(Context& context) {
  OCTET_TRY(instance_normalization(context));
  const auto groups = context.node().int_attribute("num_groups", 0);
  if (groups < 1) return bad_input("num_groups {} is out of range", groups);
  const auto* input = context.shape(0);
  if (input == nullptr || (*input)[1] < 0 || (*input)[1] % groups == 0) return {};
  return bad_input("{} groups do not divide the {} channels", groups, (*input)[1]);
}

/// Y, and the mean and inverse deviation of each normalized part.
Status layer_normalization(Context& context) {
  context.set(0, context.dtype(0), input_shape(context, 0));
  const auto* input = context.shape(0);
  const auto& node = context.node();
  const auto stash_type = node.int_attribute("stash_type", 1);
  const auto statistics = dtype_from_onnx(stash_type);
  if (!is_float(statistics)) return bad_input("stash_type {} is no float type", stash_type);
  context.set(1, statistics, std::nullopt);
  context.set(2, statistics, std::nullopt);
  if (input == nullptr) return {};
  OCTET_ASSIGN(const auto axis, normalize_axis(node.int_attribute("axis", -1), input->size()));
  for (std::size_t i = 1; i < 3; ++i) {
    if (context.shape(i) == nullptr) continue;
    OCTET_ASSIGN(const auto widened, broadcast(*input, *context.shape(i)));
    bool fits = widened.size() == input->size();
    for (std::size_t k = 0; fits && k < widened.size(); ++k) {
      fits = !differ(widened[k], (*input)[k]);
    }
    if (!fits) {
      return bad_input("parameter {} does not broadcast to {}", text(*context.shape(i)),
                       text(*input));
    }
  }
  Shape reduced = *input;
  std::fill(reduced.begin() + axis, reduced.end(), 1);
  context.set(1, statistics, reduced);
  context.set(2, statistics, reduced);
  return {};
}

}  // namespace octet::shape_rules
