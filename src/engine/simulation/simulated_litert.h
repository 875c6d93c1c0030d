#pragma once
// Operators on codes by rules tflite and xnnpack, element by element in plain loops. Internal to
// the simulation.

#include <span>

#include "engine/simulation/simulated_ops.h"

namespace octet::simulation {

/// Codes under other params: QUANTIZE, or CONCATENATION's own form of it.
enum class Conversion : std::uint8_t { quantize, join };
[[nodiscard]] CodedActivation convert_codes(const CodedActivation& codes, const Quantization& from,
                                            const Quantization& to, Rule rule,
                                            Conversion conversion = Conversion::quantize);

/// Role::binary with numpy broadcasting.
[[nodiscard]] Result<CodedActivation> litert_binary_codes(const Node& node, const Operand& a,
                                                          const Operand& b,
                                                          const Quantization& output,
                                                          const NodePlacement& placement,
                                                          Rule rule);
/// Role::lookup; `input` is operand number `position`.
[[nodiscard]] Result<CodedActivation> litert_lookup_codes(
    const Graph& graph, NodeId node, std::size_t position, const Operand& input,
    const Quantization& output, const NodePlacement& placement, Rule rule);
/// Role::softmax.
[[nodiscard]] Result<CodedActivation> litert_softmax_codes(const QuantizedGraph& model,
                                                           const Node& node, const Operand& input);
/// Role::resample to an output of `shape`.
[[nodiscard]] Result<CodedActivation> litert_resample_codes(const Graph& graph, const Node& node,
                                                            const Shape& shape,
                                                            const Operand& input,
                                                            const Quantization& output, Rule rule);

}  // namespace octet::simulation
