#pragma once
// Quantizations of values for tests.

#include "graph/plan.h"

namespace octet::testing {

/// 8 bits, asymmetric.
inline Quantization activation(double low, double high) {
  const QuantScheme scheme;
  return {scheme, params_from_range(low, high, scheme), Origin::observed, DType::u8};
}

/// Symmetric over [-1, 1].
inline Quantization weight(int bits) {
  QuantScheme scheme;
  scheme.bits = bits;
  scheme.symmetry = Symmetry::symmetric;
  scheme.range = CodeRange::narrow;
  return {scheme, params_from_range(-1, 1, scheme), Origin::observed, DType::i8};
}

}  // namespace octet::testing
