#pragma once
// Private to shape inference: what a rule sees of its node, and the rules by family.

#include <optional>
#include <string_view>

#include "graph/partial_numbers.h"

namespace octet::shape_rules {

/// One node during inference. Rules read the inputs' facts and set the outputs'; what they leave
/// unset stays unknown. In output shapes they may write dynamic_dim for an extent that has no
/// symbol yet. Their errors need not name the node.
class Context {
 public:
  Context(const Graph& graph, const Node& node, const std::vector<ValueFacts>& facts)
      : graph_(graph), node_(node), facts_(facts), outputs_(node.outputs.size()) {}

  [[nodiscard]] const Node& node() const { return node_; }
  /// nullptr when the input is absent.
  [[nodiscard]] const ValueFacts* input(std::size_t i) const;
  /// nullptr when the input is absent or its rank is not known.
  [[nodiscard]] const Shape* shape(std::size_t i) const;
  [[nodiscard]] DType dtype(std::size_t i) const;
  /// The numbers of a boolean, i32, i64, f32 or f64 input, from its constant or from earlier
  /// inference.
  [[nodiscard]] std::optional<PartialInts> numbers(std::size_t i) const;
  /// The same for i64 and i32 only.
  [[nodiscard]] std::optional<PartialInts> integers(std::size_t i) const;
  /// Integers when all of them are known.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> known_integers(std::size_t i) const;
  /// Axes given by an input or, in older opsets, by the attribute `axes`.
  [[nodiscard]] std::optional<std::vector<std::int64_t>> axes(std::size_t input) const;
  [[nodiscard]] bool has_axes(std::size_t input) const;

  void set(std::size_t output, DType dtype, std::optional<Shape> shape);
  /// After set(); more than max_partial_elements are forgotten.
  void set_numbers(std::size_t output, PartialInts numbers);
  [[nodiscard]] std::vector<ValueFacts>& outputs() { return outputs_; }

 private:
  const Graph& graph_;
  const Node& node_;
  const std::vector<ValueFacts>& facts_;
  std::vector<ValueFacts> outputs_;
};

using Rule = Status (*)(Context&);

// shape_inference_spatial.cpp
Status conv(Context& context);
Status conv_integer(Context& context);
Status qlinear_conv(Context& context);
Status conv_transpose(Context& context);
Status pool(Context& context);
Status global_pool(Context& context);
Status batch_normalization(Context& context);
Status instance_normalization(Context& context);
Status group_normalization(Context& context);
Status layer_normalization(Context& context);

// shape_inference_resample.cpp
Status resize(Context& context);
Status depth_to_space(Context& context);
Status space_to_depth(Context& context);

// shape_inference_elementwise.cpp
Status same_as_input(Context& context);
Status softmax(Context& context);
Status dropout(Context& context);
Status cast(Context& context);
Status binary(Context& context);
Status power(Context& context);
Status comparison(Context& context);
Status logic(Context& context);
Status where(Context& context);
Status prelu(Context& context);
Status variadic(Context& context);
Status cumulative_sum(Context& context);
Status quantize_linear(Context& context);
Status dequantize_linear(Context& context);
Status dynamic_quantize_linear(Context& context);

// shape_inference_matrix.cpp
Status gemm(Context& context);
Status matmul(Context& context);
Status matmul_integer(Context& context);
Status qlinear_matmul(Context& context);
Status einsum(Context& context);
Status recurrent(Context& context);

// shape_inference_reduce.cpp
Status reduce(Context& context);
Status arg_reduce(Context& context);
Status top_k(Context& context);

// shape_inference_reshape.cpp
Status reshape(Context& context);
Status flatten(Context& context);
Status squeeze(Context& context);
Status unsqueeze(Context& context);
Status transpose(Context& context);

// shape_inference_select.cpp
Status concat(Context& context);
Status gather(Context& context);
Status slice(Context& context);
Status pad(Context& context);
Status shape_of(Context& context);
Status constant(Context& context);
Status constant_of_shape(Context& context);

// shape_inference_spread.cpp
Status split(Context& context);
Status expand(Context& context);
Status tile(Context& context);
Status range(Context& context);
Status one_hot(Context& context);
Status triangle(Context& context);

// shape_inference_indexed.cpp
Status gather_elements(Context& context);
Status gather_nd(Context& context);
Status scatter_elements(Context& context);
Status scatter_nd(Context& context);

inline constexpr std::int64_t extent_limit = std::int64_t{1} << 40;

/// Error when both types are known and differ.
[[nodiscard]] Status check_same_type(DType a, DType b);

/// Whether two extents are known to differ.
[[nodiscard]] bool differ(std::int64_t a, std::int64_t b);

/// The shape of an input, or nullopt.
[[nodiscard]] std::optional<Shape> input_shape(const Context& context, std::size_t i);

/// The numbers of a tensor of at most max_partial_elements, if it is of a type that holds them.
[[nodiscard]] std::optional<PartialInts> tensor_numbers(const Tensor& tensor);

/// Static and of at most max_partial_elements.
[[nodiscard]] bool few_elements(const Shape& shape);

/// For strided_view: steps in `from` of a walk over the shape `to` that it broadcasts to.
[[nodiscard]] std::vector<std::int64_t> broadcast_strides(const Shape& from, const Shape& to);

/// "[1,?,3]" for a shape with symbols.
[[nodiscard]] std::string text(const Shape& shape);

/// broadcast_shapes for shapes with symbols.
[[nodiscard]] Result<Shape> broadcast(const Shape& a, const Shape& b);

/// Elements of `input` at offset + sum(index[i] * strides[i]) for every index of `shape`.
[[nodiscard]] PartialInts strided_view(const PartialInts& input, const Shape& shape,
                                       std::int64_t offset,
                                       const std::vector<std::int64_t>& strides);

/// Product of dims; dynamic_dim, or the one symbol when all others are 1, if any is dynamic.
/// Fails beyond 2^40.
[[nodiscard]] Result<std::int64_t> extent_product(const Shape& dims);

}  // namespace octet::shape_rules
