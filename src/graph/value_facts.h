#pragma once
// What can be known of values without running the graph: types, shapes whose dynamic dimensions
// are told apart, and integers computed from shapes.

#include <bit>
#include <map>
#include <optional>
#include <vector>

#include "graph/graph.h"

namespace octet {

/// A number known exactly, known to be the extent of a dynamic dimension, or not known. Integers
/// and booleans are `known`, elements of float tensors are `real`.
struct PartialInt {
  enum class Kind : std::uint8_t { unknown, known, extent, real };
  Kind kind = Kind::unknown;
  std::int64_t value = 0;  ///< known: the number; extent: the symbol of the dimension; real: bits

  [[nodiscard]] bool is_known() const { return kind == Kind::known; }
  [[nodiscard]] bool is_real() const { return kind == Kind::real; }
  [[nodiscard]] double real() const { return std::bit_cast<double>(value); }
  friend bool operator==(const PartialInt&, const PartialInt&) = default;
};

/// A tensor of at most max_partial_elements elements, known in part.
struct PartialInts {
  Shape shape;  ///< static
  std::vector<PartialInt> elements;
};

inline constexpr std::int64_t max_partial_elements = 4096;

/// In `shape` a dynamic dimension is a symbol: a number <= -2, equal for dimensions that are known
/// to have the same extent.
struct ValueFacts {
  DType dtype = DType::undefined;
  std::optional<Shape> shape;
  std::optional<PartialInts> integers;  ///< of an i64 or i32 tensor
  std::optional<PartialInts> numbers;   ///< of a boolean, f32 or f64 tensor
};

/// Facts of all values by value slot. `input_shapes` replaces the declared shapes of graph inputs
/// (which they must not contradict). Needs a graph that verify() accepts. Errors name the node and
/// its shapes.
[[nodiscard]] Result<std::vector<ValueFacts>> infer_facts(
    const Graph& graph, const std::map<ValueId, Shape>& input_shapes = {});

/// Symbols turned into dynamic_dim.
[[nodiscard]] Shape without_symbols(const Shape& shape);

/// The elements when all are known, else nullopt.
[[nodiscard]] std::optional<std::vector<std::int64_t>> all_known(const PartialInts& integers);

/// What a Constant node holds, from whichever of its attributes is present.
[[nodiscard]] Result<Tensor> constant_node_value(const Node& node);

}  // namespace octet
