#pragma once
#include "engine/integer/placement.h"

namespace octet {

/// A copy of the model's graph in which the quantized constants that nodes other than accumulating
/// ones read are replaced by what their codes stand for.
[[nodiscard]] Result<Graph> with_fake_constants(const QuantizedGraph& model,
                                                const std::vector<NodePlacement>& placements);

}  // namespace octet
