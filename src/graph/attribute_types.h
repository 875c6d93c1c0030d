#pragma once
// For the verifier and the fuzzer: the type that each attribute of a known operator must have.

#include <cstddef>
#include <span>
#include <string_view>

#include "graph/graph.h"

namespace octet {

/// In the order of the alternatives of Attribute.
enum class AttributeKind : std::size_t { integer, real, text, integers, reals, texts, tensor };

enum class AttributeNeed { optional, required };

struct AttributeType {
  std::string_view op;
  std::string_view key;
  AttributeKind kind;
  AttributeNeed need = AttributeNeed::optional;
};

/// Of all operators, sorted by operator and name.
[[nodiscard]] std::span<const AttributeType> attribute_types();

/// Error when an attribute that octet reads has another type than its operator's schema says, or
/// when one that the operator cannot do without is missing. Attributes that octet does not know are
/// left alone. The message does not name the node.
[[nodiscard]] Status check_attributes(const Node& node);

}  // namespace octet
