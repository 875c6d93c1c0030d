// Shape rules of convolution, pooling and normalization: tensors [N, C, spatial...].

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

Status check_same_dtype(const Context& context, std::size_t a, std::size_t b) {
  const auto first = context.dtype(a);
  const auto second = context.dtype(b);
  if (first == DType::undefined || second == DType::undefined || first == second) return {};
  return bad_input("inputs of types {} and {} do not go together", name(first), name(second));
}

}  // namespace

Status conv(Context& context) {
  OCTET_TRY(check_same_dtype(context, 0, 1));
  context.set(0, context.dtype(0), std::nullopt);
  const auto* input = context.shape(0);
  const auto* weight = context.shape(1);
  if (input == nullptr || weight == nullptr) return {};
  OCTET_ASSIGN(const auto geometry,
               resolve_conv(context.node(), without_symbols(*input), without_symbols(*weight)));
  const auto group = context.node().int_attribute("group", 1);
  const auto outputs = (*weight)[0];
  const auto channels = (*input)[1];
  if (group < 1 || (outputs >= 0 && (outputs < 1 || outputs % group != 0))) {
    return bad_input("group {} does not divide the {} output channels of weight {}", group, outputs,
                     text(*weight));
  }
  // Both factors are below 2^40 and, with the division first, the product can't overflow.
  if (channels >= 0 && (channels % group != 0 || channels / group != (*weight)[1])) {
    return bad_input(
        "input {} has {} channels where weight {} with group {} needs {} in each group",
        text(*input), channels, text(*weight), group, (*weight)[1]);
  }
  const auto* bias = context.shape(2);
  if (bias != nullptr && (bias->size() != 1 || ((*bias)[0] >= 0 && (*bias)[0] != outputs))) {
    return bad_input("bias {} does not fit the {} output channels", text(*bias), outputs);
  }
  Shape output{(*input)[0], outputs};
  append_spatial(output, *input, geometry);
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
  const auto* input = context.shape(0);
  context.set(0, context.dtype(0), input == nullptr ? std::nullopt : std::optional(*input));
  if (input == nullptr) return {};
  if (input->size() < 2) return bad_input("input {} has no channels", text(*input));
  for (std::size_t i = 1; i < 5; ++i) {
    const auto* parameter = context.shape(i);
    if (parameter == nullptr) continue;
    const bool fits = parameter->size() == 1 &&
                      ((*parameter)[0] < 0 || (*input)[1] < 0 || (*parameter)[0] == (*input)[1]);
    if (!fits) {
      return bad_input("parameter {} does not fit the {} channels of the input", text(*parameter),
                       (*input)[1]);
    }
  }
  return {};
}

}  // namespace octet::shape_rules
