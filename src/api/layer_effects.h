#pragma once
// What each layer of a model may give and cost in another precision.

#include <vector>

#include "api/compare_layers.h"
#include "api/engine_choice.h"
#include "tuning/trial.h"

namespace octet {

struct LayerStudy {
  const Side& original;   ///< float
  const Side& quantized;  ///< made of it
  const Side* narrow;     ///< likewise, with weights of 4 bits in all layers; nullptr for none
  const OpenData& data;   ///< that it was calibrated on
  std::string target;     ///< that it was made for
  bool times = false;     ///< measure layers on the engines
};

/// All layers that run in integers, in execution order. Errors are those of outputs on up to 32
/// samples, see analysis/sensitivity.h; times those of `octet bench --layers`.
[[nodiscard]] Result<std::vector<LayerEffect>> study_layers(const LayerStudy& study);

}  // namespace octet
