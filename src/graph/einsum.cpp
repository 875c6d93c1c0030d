#include "graph/einsum.h"

#include <algorithm>
#include <array>

namespace octet {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

Result<EinsumTerm> parse_term(std::string_view text) {
  EinsumTerm term;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_letter(text[i])) {
      term.push_back(text[i]);
    } else if (text.substr(i, 3) == "..." && term.find(einsum_ellipsis) == EinsumTerm::npos) {
      term.push_back(einsum_ellipsis);
      i += 2;
    } else {
      return bad_input("the equation has {} where a letter or one ... is needed",
                       fmt::format("'{}'", text.substr(i, 1)));
    }
  }
  return term;
}

/// Uses of each letter (and of the ellipsis) over all operands.
std::array<int, 128> count_uses(const std::vector<EinsumTerm>& terms) {
  std::array<int, 128> uses{};
  for (const auto& term : terms) {
    for (const char c : term) ++uses[static_cast<std::size_t>(c)];
  }
  return uses;
}

EinsumTerm implicit_output(const std::array<int, 128>& uses) {
  EinsumTerm output;
  if (uses[einsum_ellipsis] > 0) output.push_back(einsum_ellipsis);
  for (char c = 'A'; c <= 'z'; ++c) {
    if (is_letter(c) && uses[static_cast<std::size_t>(c)] == 1) output.push_back(c);
  }
  return output;
}

Status check_output(const EinsumTerm& output, const std::array<int, 128>& uses) {
  for (std::size_t i = 0; i < output.size(); ++i) {
    if (uses[static_cast<std::size_t>(output[i])] == 0 && output[i] != einsum_ellipsis) {
      return bad_input("the result's letter {} is not an operand's", output[i]);
    }
    if (output.find(output[i], i + 1) != EinsumTerm::npos) {
      return bad_input("the result names {} twice", output[i]);
    }
  }
  return {};
}

/// Broadcasts `next` into `extent`.
Status join(std::int64_t& extent, std::int64_t next, std::string_view what) {
  if (extent == next || next == 1) return {};
  if (extent == 1) {
    extent = next;
  } else if (extent >= 0 && next >= 0) {
    return bad_input("{} is {} in one operand and {} in another", what, extent, next);
  } else {
    extent = extent < 0 && next < 0 ? dynamic_dim : std::max(extent, next);
  }
  return {};
}

/// Joins the trailing dimensions, as broadcasting does.
Status join_ellipsis(Shape& ellipsis, const Shape& next) {
  if (next.size() > ellipsis.size())
    ellipsis.insert(ellipsis.begin(), next.size() - ellipsis.size(), 1);
  const auto offset = ellipsis.size() - next.size();
  for (std::size_t i = 0; i < next.size(); ++i) {
    OCTET_TRY(join(ellipsis[offset + i], next[i], "a dimension of ..."));
  }
  return {};
}

Status join_operand(EinsumExtents& extents, const EinsumTerm& term, const Shape& shape,
                    std::array<bool, 128>& seen) {
  const bool has_ellipsis = term.find(einsum_ellipsis) != EinsumTerm::npos;
  const auto letters = term.size() - (has_ellipsis ? 1 : 0);
  if (shape.size() < letters || (!has_ellipsis && shape.size() != letters)) {
    return bad_input("the operand of rank {} does not fit its {} subscripts", shape.size(),
                     letters);
  }
  auto next = shape.begin();
  for (const char c : term) {
    if (c == einsum_ellipsis) {
      const auto end = next + static_cast<std::ptrdiff_t>(shape.size() - letters);
      OCTET_TRY(join_ellipsis(extents.ellipsis, Shape(next, end)));
      next = end;
      continue;
    }
    const auto i = static_cast<std::size_t>(c);
    if (!seen[i]) extents.letters[i] = *next;
    seen[i] = true;
    OCTET_TRY(join(extents.letters[i], *next++, fmt::format("the extent of {}", c)));
  }
  return {};
}

}  // namespace

Result<EinsumEquation> parse_einsum(std::string_view equation, std::size_t operands) {
  std::string text(equation);
  std::erase(text, ' ');
  const auto arrow = text.find("->");
  std::string_view left = std::string_view(text).substr(0, arrow);
  EinsumEquation parsed;
  while (true) {
    const auto comma = left.find(',');
    OCTET_ASSIGN(auto term, parse_term(left.substr(0, comma)));
    parsed.inputs.push_back(std::move(term));
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  if (parsed.inputs.size() != operands) {
    return bad_input("the equation names {} operands where there are {}", parsed.inputs.size(),
                     operands);
  }
  const auto uses = count_uses(parsed.inputs);
  if (arrow == std::string::npos) {
    parsed.output = implicit_output(uses);
    return parsed;
  }
  OCTET_ASSIGN(parsed.output, parse_term(std::string_view(text).substr(arrow + 2)));
  OCTET_TRY(check_output(parsed.output, uses));
  return parsed;
}

Result<EinsumExtents> resolve_einsum(const EinsumEquation& equation,
                                     const std::vector<Shape>& shapes) {
  if (shapes.size() != equation.inputs.size()) {
    return internal_error("{} shapes for {} operands", shapes.size(), equation.inputs.size());
  }
  EinsumExtents extents;
  std::array<bool, 128> seen{};
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    OCTET_TRY(join_operand(extents, equation.inputs[i], shapes[i], seen));
  }
  for (const char c : equation.output) {
    if (c == einsum_ellipsis) {
      extents.output.insert(extents.output.end(), extents.ellipsis.begin(), extents.ellipsis.end());
    } else {
      extents.output.push_back(extents.letters[static_cast<std::size_t>(c)]);
    }
  }
  return extents;
}

}  // namespace octet
