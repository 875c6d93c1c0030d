#pragma once
#include <string>

#include "graph/plan.h"

namespace octet {

/// One line per node in topological order, values with type, shape and quantization; stable, for
/// golden files and --dump-after.
[[nodiscard]] std::string dump(const QuantizedGraph& model);

}  // namespace octet
