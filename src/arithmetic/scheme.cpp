#include "arithmetic/scheme.h"

#include <fmt/format.h>

namespace octet {

std::string to_string(const QuantScheme& scheme) {
  std::string text = fmt::format(
      "s{} {}", scheme.bits, scheme.symmetry == Symmetry::symmetric ? "symmetric" : "asymmetric");
  if (scheme.range == CodeRange::narrow) text += " narrow";
  if (scheme.granularity == Granularity::per_tensor) return text + " per-tensor";
  return text + fmt::format(" per-channel({})", scheme.axis);
}

}  // namespace octet
