#pragma once
// What rules tflite and xnnpack decide from the graph: which of LiteRT's kernels an accumulating
// operator gets. Measured operator by operator (tests/parity/litert_rows.py).

#include <vector>

#include "arithmetic/litert.h"
#include "arithmetic/litert_resample.h"
#include "arithmetic/litert_softmax.h"
#include "engine/integer/placement.h"

namespace octet {

/// How an accumulate or product node makes codes. Gemm, and MatMul with a constant matrix whose
/// zero points are 0, are FULLY_CONNECTED; any other MatMul is BATCH_MATMUL. Codes of uint8 files
/// are those whose weights are stored so.
[[nodiscard]] litert::LayerForm litert_layer_form(const QuantizedGraph& model, NodeId node);

/// How an accumulate or product node of 16-bit codes makes codes.
[[nodiscard]] litert::WideForm litert_wide_form(const QuantizedGraph& model, NodeId node);

/// How an accumulate node with a dynamic input computes. A Gemm or MatMul reads its integer
/// attribute asymmetric_quantize_inputs (0 by default), which counts by rule tflite.
[[nodiscard]] litert::HybridForm litert_hybrid_form(const QuantizedGraph& model, NodeId node);

/// The signed code that limits an activation at `bound` where `producer` computes it.
[[nodiscard]] std::int32_t litert_bound(const QuantizedGraph& model, NodeId producer, float bound,
                                        const Quantization& output);

/// Softmax and LogSoftmax whose output has the params that LiteRT demands; nullopt for other nodes.
[[nodiscard]] std::optional<litert::SoftmaxKind> litert_softmax_kind(const QuantizedGraph& model,
                                                                     const Node& node);

/// Whether the node is a RESIZE_BILINEAR: a Resize to linear interpolation of the height and width
/// of an image. Batch and channels that are not known are taken to stay (check_litert_resample).
[[nodiscard]] bool is_litert_resample(const Graph& graph, const Node& node);

/// Whether a value is made of the shapes of others and constants alone, so that it is known before
/// the model runs.
[[nodiscard]] bool follows_from_shapes(const Graph& graph, ValueId value);

/// Which formula such a node has; `unsigned_codes`: the file has uint8.
[[nodiscard]] litert::Resample litert_resample_form(const Graph& graph, const Node& node, Rule rule,
                                                    bool unsigned_codes);

/// Fails where batch or channels change, and on images without elements.
[[nodiscard]] Status check_litert_resample(const Shape& input, const Shape& output);
/// The output's shape from the operands `scales` and `sizes`, where they are given.
[[nodiscard]] Result<Shape> litert_resized(const Node& node, const Shape& input,
                                           const Tensor* scales, const Tensor* sizes);

/// One point for each of `output` positions of such a node along an axis.
[[nodiscard]] std::vector<litert::ResamplePoint> litert_resample_points(const Node& node,
                                                                        litert::Resample form,
                                                                        std::int64_t input,
                                                                        std::int64_t output);

/// The Mul that alone reads what a Sub gives, as both its factors: SQUARED_DIFFERENCE, which LiteRT
/// has for int8 only.
[[nodiscard]] std::optional<NodeId> litert_square(const QuantizedGraph& model, const Node& sub,
                                                  const std::vector<Use>& readers);

}  // namespace octet
