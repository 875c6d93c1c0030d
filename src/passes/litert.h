#pragma once
// What LiteRT and TFLite-Micro ask of a graph before it is quantized for them.

#include <string>

#include "passes/target.h"

namespace octet {

/// Rewrites a simplified graph with inferred shapes into operators that LiteRT has in integers,
/// without changing its function. With `products_only`, for models that keep float activations,
/// only the first:
///
/// - MatMul by a constant matrix, with the constant row that may be added to it, and Gemm become
///   Gemm with weights [out, in] and a bias row (FULLY_CONNECTED adds an int32 bias to its
///   accumulator); on more than two dimensions between two Reshapes, the second
///   to a shape that is computed where more than one extent is open. A Relu or Clip behind it moves
///   before the second one.
/// - Swish becomes Sigmoid and Mul, HardSigmoid Add, Clip and Mul; Div by a constant becomes Mul.
/// - ReduceSum over known extents becomes ReduceMean and Mul.
/// - AveragePool over a whole image becomes GlobalAveragePool: MEAN may give its result, which
/// spans
///   a narrower range, params of its own, which AVERAGE_POOL_2D may not.
/// - Softmax and LogSoftmax over another axis than the last get Transposes around them.
/// - A value whose params the runtime fixes gets an Identity before a Concat, Max or Min of values
///   with other params: there it is requantized.
[[nodiscard]] Status fit_litert(Graph& graph, const TargetProfile& target, bool products_only);

/// Why LiteRT has no integer kernel for this node although it has some for the operator, or "".
[[nodiscard]] std::string litert_reason(const Graph& graph, const Node& node);

/// Whether LiteRT states `activation` as a field of `maker`, whose output then has no codes of its
/// own: a Relu, a Clip to [0, 6] or one to [-1, 1] behind Conv, Gemm, Add, Sub or Mul.
[[nodiscard]] bool litert_fuses(const Graph& graph, const Node& maker, const Node& activation);

/// A Relu, or a Clip to [0, 6], [-1, 1] or [0, 1]: an operator of LiteRT.
[[nodiscard]] bool is_litert_activation(const Graph& graph, const Node& node);

/// Whether an Identity stands before the only reader of its output to requantize a value: that
/// reader is a Concat, Max or Min.
[[nodiscard]] bool requantizes(const Graph& graph, const Node& node,
                               const std::vector<Use>& readers_of_output);

/// The steps of fit_litert; each returns how many places it changed.
namespace litert {

[[nodiscard]] Result<int> fit_products(Graph& graph);
[[nodiscard]] Result<int> split_gates(Graph& graph);
[[nodiscard]] Result<int> multiply_by_reciprocals(Graph& graph);
[[nodiscard]] Result<int> sums_by_means(Graph& graph);
[[nodiscard]] Result<int> average_whole_images(Graph& graph);
[[nodiscard]] Result<int> move_softmax_axes(Graph& graph);
[[nodiscard]] Result<int> separate_fixed_outputs(Graph& graph, const TargetProfile& target);

}  // namespace litert
}  // namespace octet
