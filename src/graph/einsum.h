#pragma once
// Einsum equations: one place that reads them and finds the extents.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/shape.h"

namespace octet {

/// Subscripts of one operand or of the result: letters, with einsum_ellipsis for "...".
using EinsumTerm = std::string;
inline constexpr char einsum_ellipsis = '.';

struct EinsumEquation {
  std::vector<EinsumTerm> inputs;
  EinsumTerm output;  ///< made from the inputs where the equation has no "->"
};

/// Reads "ij,jk->ik", "...ij,jk" and so on; spaces do not count. Without "->" the result has the
/// ellipsis, if there is one, and then the letters that occur once, in the order of their codes.
[[nodiscard]] Result<EinsumEquation> parse_einsum(std::string_view equation, std::size_t operands);

struct EinsumExtents {
  Shape letters = Shape(128, 0);  ///< by letter; 0 for letters that do not occur
  Shape ellipsis;                 ///< what "..." stands for, all operands broadcast
  Shape output;
};

/// Extents under these operand shapes; one of 1 broadcasts against another. Dynamic dimensions
/// may be any negative numbers; equal ones stay.
[[nodiscard]] Result<EinsumExtents> resolve_einsum(const EinsumEquation& equation,
                                                   const std::vector<Shape>& shapes);

}  // namespace octet
