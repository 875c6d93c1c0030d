#pragma once
#include <span>
#include <vector>

#include "octet/run.h"

namespace octet {

/// Says of each layer that multiplies where integers do not pay: it runs in float, or the float
/// engine takes no longer for the layer of the same name.
void add_remarks(std::span<const LayerTime> floats, std::vector<LayerTime>& layers);

}  // namespace octet
