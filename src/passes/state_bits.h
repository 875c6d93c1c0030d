#pragma once
#include "graph/plan.h"

namespace octet {

/// Files keep codes of fewer than 8 bits in 8, whose saturation does not limit them: a Clip to the
/// range of the codes goes before every such quantization of an activation, which then counts as
/// one of 8 bits with the same params. A Relu or Clip that is there already takes the narrower
/// bounds over. Constants need nothing.
void state_bits(QuantizedGraph& model);

}  // namespace octet
