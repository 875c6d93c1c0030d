#include <algorithm>
#include <cmath>
#include <numbers>

#include "passes/pattern.h"
#include "passes/simplify.h"

namespace octet::simplification {
namespace {

/// The one node that a pattern becomes.
struct Fused {
  std::string op;
  ValueId input = ValueId::none;
  std::map<std::string, Attribute, std::less<>> attributes;
  std::set<NodeId> nodes;
};

/// x of op(x), adding the node to `nodes`.
ValueId argument(const Pattern& pattern, ValueId value, std::string_view op,
                 std::set<NodeId>& nodes) {
  const auto id = pattern.maker(value, op);
  if (id == NodeId::none) return ValueId::none;
  nodes.insert(id);
  return pattern.graph().node(id).input(0);
}

/// x of Clip(x + 3, 0, 6).
ValueId shifted_relu6(const Pattern& pattern, ValueId value, std::set<NodeId>& nodes) {
  const auto sum = pattern.clipped(value, 0, 6);
  if (sum == ValueId::none) return ValueId::none;
  const auto x = pattern.added_to(sum, 3);
  if (x == ValueId::none) return ValueId::none;
  nodes.insert(pattern.maker(value, "Clip"));
  nodes.insert(pattern.maker(sum, "Add"));
  return x;
}

bool is_standard_hard_sigmoid(const Node& node) {
  return is_about(node.float_attribute("alpha", 0.2F), 1.0 / 6) &&
         is_about(node.float_attribute("beta", 0.5F), 0.5);
}

/// Whether `value` is x^power, as Mul or Pow give it.
bool is_power(const Pattern& pattern, ValueId value, ValueId x, int power,
              std::set<NodeId>& nodes) {
  const auto id = pattern.maker(value, "Pow");
  if (id != NodeId::none) {
    const auto exponent = pattern.scalar(pattern.graph().node(id).input(1));
    nodes.insert(id);
    return exponent && *exponent == power && pattern.graph().node(id).input(0) == x;
  }
  const auto product = pattern.product(value);
  nodes.insert(product.nodes.begin(), product.nodes.end());
  if (!product.is(1, static_cast<std::size_t>(power))) return false;
  return std::all_of(product.terms.begin(), product.terms.end(),
                     [&](ValueId term) { return term == x; });
}

/// Whether `value` is 0.044715 * x^power.
bool is_cubic_term(const Pattern& pattern, ValueId value, ValueId x, int power,
                   std::set<NodeId>& nodes) {
  constexpr double coefficient = 0.044715;
  const auto product = pattern.product(value);
  nodes.insert(product.nodes.begin(), product.nodes.end());
  if (!is_about(product.factor, coefficient)) return false;
  // Factors of x may stand in the product itself, or behind a Pow.
  int left = power;
  ValueId other = ValueId::none;
  for (const auto term : product.terms) {
    if (term == x) {
      --left;
    } else if (other == ValueId::none) {
      other = term;
    } else {
      return false;
    }
  }
  if (other == ValueId::none) return left == 0;
  return left > 0 && is_power(pattern, other, x, left, nodes);
}

/// Whether `value` is sqrt(2 / pi) * (x + 0.044715 x^3), or the same with x factored out.
bool is_tanh_argument(const Pattern& pattern, ValueId value, ValueId x, std::set<NodeId>& nodes) {
  const double factor = std::sqrt(2 / std::numbers::pi);
  const auto product = pattern.product(value);
  nodes.insert(product.nodes.begin(), product.nodes.end());
  if (product.is(factor, 1)) {
    const auto add = pattern.maker(product.terms[0], "Add");
    if (add == NodeId::none) return false;
    nodes.insert(add);
    const auto& node = pattern.graph().node(add);
    for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
      if (node.input(slot) != x) continue;
      if (is_cubic_term(pattern, node.input(1 - slot), x, 3, nodes)) return true;
    }
    return false;
  }
  if (!product.is(factor, 2)) return false;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    if (product.terms[slot] != x) continue;
    const auto sum = product.terms[1 - slot];
    const auto square = pattern.added_to(sum, 1);
    if (square == ValueId::none) continue;
    nodes.insert(pattern.maker(sum, "Add"));
    if (is_cubic_term(pattern, square, x, 2, nodes)) return true;
  }
  return false;
}

/// x * (1 + erf(x / sqrt 2)) / 2, or the tanh form.
std::optional<Fused> match_gelu(const Pattern& pattern, const Product& product, ValueId x,
                                ValueId gate) {
  if (!product.is(0.5, 2) || !allows(pattern.graph(), 20)) return std::nullopt;
  Fused fused{"Gelu", x, {}, product.nodes};
  const auto inner = pattern.added_to(gate, 1);
  if (inner == ValueId::none) return std::nullopt;
  fused.nodes.insert(pattern.maker(gate, "Add"));
  if (const auto u = argument(pattern, inner, "Erf", fused.nodes); u != ValueId::none) {
    const auto scaled = pattern.product(u);
    fused.nodes.insert(scaled.nodes.begin(), scaled.nodes.end());
    if (!scaled.is(1 / std::numbers::sqrt2, 1) || scaled.terms[0] != x) return std::nullopt;
    return fused;
  }
  const auto u = argument(pattern, inner, "Tanh", fused.nodes);
  if (u == ValueId::none || !is_tanh_argument(pattern, u, x, fused.nodes)) return std::nullopt;
  fused.attributes["approximate"] = std::string("tanh");
  return fused;
}

std::optional<Fused> match_hard_swish(const Pattern& pattern, const Product& product, ValueId x,
                                      ValueId gate) {
  if (!allows(pattern.graph(), 14)) return std::nullopt;
  Fused fused{"HardSwish", x, {}, product.nodes};
  if (product.is(1.0 / 6, 2) && shifted_relu6(pattern, gate, fused.nodes) == x) return fused;
  const auto sigmoid = pattern.maker(gate, "HardSigmoid");
  if (!product.is(1, 2) || sigmoid == NodeId::none) return std::nullopt;
  const auto& node = pattern.graph().node(sigmoid);
  if (!is_standard_hard_sigmoid(node) || node.input(0) != x) return std::nullopt;
  fused.nodes.insert(sigmoid);
  return fused;
}

std::optional<Fused> match_smooth(const Pattern& pattern, const Product& product, ValueId x,
                                  ValueId gate) {
  if (!product.is(1, 2)) return std::nullopt;
  Fused swish{"Swish", x, {}, product.nodes};
  if (argument(pattern, gate, "Sigmoid", swish.nodes) == x) return swish;
  if (!allows(pattern.graph(), 18)) return std::nullopt;
  Fused mish{"Mish", x, {}, product.nodes};
  const auto softplus = argument(pattern, gate, "Tanh", mish.nodes);
  if (softplus == ValueId::none) return std::nullopt;
  if (argument(pattern, softplus, "Softplus", mish.nodes) == x) return mish;
  return std::nullopt;
}

std::optional<Fused> match_hard_sigmoid(const Pattern& pattern, const Product& product) {
  if (!product.is(1.0 / 6, 1)) return std::nullopt;
  Fused fused{"HardSigmoid", ValueId::none, {}, product.nodes};
  fused.input = shifted_relu6(pattern, product.terms[0], fused.nodes);
  if (fused.input == ValueId::none) return std::nullopt;
  fused.attributes["alpha"] = 1.0F / 6.0F;
  fused.attributes["beta"] = 0.5F;
  return fused;
}

/// Clip(alpha * x + beta, 0, 1).
std::optional<Fused> match_clipped_line(const Pattern& pattern, NodeId clip) {
  const auto& graph = pattern.graph();
  const auto sum = pattern.clipped(graph.node(clip).output(), 0, 1);
  const auto add = pattern.maker(sum, "Add");
  if (add == NodeId::none) return std::nullopt;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto beta = pattern.scalar(graph.node(add).input(slot));
    if (!beta) continue;
    const auto product = pattern.product(graph.node(add).input(1 - slot));
    if (product.terms.size() != 1 || product.nodes.empty()) continue;
    Fused fused{"HardSigmoid", product.terms[0], {}, product.nodes};
    fused.nodes.insert({add, clip});
    fused.attributes["alpha"] = static_cast<float>(product.factor);
    fused.attributes["beta"] = static_cast<float>(*beta);
    return fused;
  }
  return std::nullopt;
}

std::optional<Fused> match(const Pattern& pattern, NodeId root) {
  const Node& node = pattern.graph().node(root);
  if (node.is("Clip")) return match_clipped_line(pattern, root);
  if (!node.is("Mul") && !node.is("Div")) return std::nullopt;
  const auto product = pattern.product(node.output());
  if (product.terms.size() == 1) return match_hard_sigmoid(pattern, product);
  if (product.terms.size() != 2) return std::nullopt;
  for (const std::size_t slot : {std::size_t{0}, std::size_t{1}}) {
    const auto x = product.terms[slot];
    const auto gate = product.terms[1 - slot];
    for (const auto matcher : {match_gelu, match_hard_swish, match_smooth}) {
      if (auto fused = matcher(pattern, product, x, gate)) return fused;
    }
  }
  return std::nullopt;
}

bool fuse(Graph& graph, const Pattern& pattern, NodeId id) {
  auto fused = match(pattern, id);
  if (!fused || fused->input == ValueId::none || graph.constant(fused->input) != nullptr) {
    return false;
  }
  fused->nodes.insert(id);
  if (!pattern.closed(fused->nodes, id)) return false;
  auto& root = graph.node(id);
  if (!pattern.same_shape(fused->input, root.output())) return false;
  for (const auto inner : fused->nodes) {
    if (inner != id) graph.remove_node(inner);
  }
  root.op = fused->op;
  root.inputs = {fused->input};
  root.attributes = std::move(fused->attributes);
  return true;
}

}  // namespace

Result<int> fuse_gates(Graph& graph) { return rewrite_each(graph, fuse); }

}  // namespace octet::simplification
