#pragma once
// ONNX: reader and writer over protobuf-lite, and the two-way translation between Q/DQ nodes and
// QuantPlan. Wire types stay inside this folder.

#include <filesystem>
#include <span>
#include <string>

#include "graph/plan.h"

namespace octet::onnx {

/// The opset octet reads graphs up to, and writes.
inline constexpr std::int64_t canonical_opset = 21;

/// Parses a ModelProto. `folder` is where external data lies. Control flow (If, Loop, Scan) is
/// refused by name. A graph in which every op is known is upgraded to canonical_opset; one with
/// unknown ops keeps its own. Constant nodes become constants. Q/DQ nodes are left as nodes.
[[nodiscard]] Result<Graph> parse(std::span<const std::byte> bytes,
                                  const std::filesystem::path& folder);

/// Encodes a graph as a ModelProto. Fails beyond protobuf's 2 GB.
[[nodiscard]] Result<std::string> serialize(const Graph& graph);

/// Q/DQ nodes -> plan: constants behind DequantizeLinear become payloads with float images;
/// QuantizeLinear -> DequantizeLinear pairs become the quantization of the value they enclose.
/// Pairs that do not fit stay nodes. The result has no Q/DQ node where that is possible.
[[nodiscard]] Result<QuantizedGraph> absorb_qdq(Graph graph);

/// plan -> Q/DQ nodes: the inverse. Weights become integer initializers with DequantizeLinear.
[[nodiscard]] Result<Graph> emit_qdq(const QuantizedGraph& model);

}  // namespace octet::onnx
