#pragma once
// What octet knows of each operator, as data: the one table that says which ops exist.

#include <cstdint>
#include <span>
#include <string_view>

#include "graph/graph.h"

namespace octet {

struct OpSchema {
  std::string_view op;
  int min_inputs = 0;
  int max_inputs = 0;  ///< -1: any
  int min_outputs = 1;
  int max_outputs = 1;  ///< -1: any
};

/// All operators that octet knows, sorted by name.
[[nodiscard]] std::span<const OpSchema> all_schemas();

/// Schema of a standard-domain operator, or nullptr when octet does not know it.
[[nodiscard]] const OpSchema* find_schema(const Node& node);

/// First node whose operator octet does not know, or NodeId::none.
[[nodiscard]] NodeId first_unknown_node(const Graph& graph);

/// Multiply-accumulates of a convolution (also transposed, integer or quantized), a matrix product
/// (Gemm, MatMul and its integer and quantized forms, Einsum of two operands), an LSTM or a GRU for
/// one batch item, from inferred shapes; dynamic extents count as 1. 0 for other ops.
[[nodiscard]] std::int64_t node_macs(const Graph& graph, const Node& node);

}  // namespace octet
