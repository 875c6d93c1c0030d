#pragma once
// What rules tflite and xnnpack decide from the graph: which of LiteRT's kernels an accumulating
// operator gets. Measured operator by operator (tests/parity/litert_rows.py).

#include "arithmetic/litert.h"
#include "engine/integer/placement.h"

namespace octet {

[[nodiscard]] inline bool is_litert(Rule rule) {
  return rule == Rule::tflite || rule == Rule::xnnpack;
}

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

}  // namespace octet
