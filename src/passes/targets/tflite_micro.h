#pragma once
#include "passes/target.h"

namespace octet {
[[nodiscard]] const TargetProfile& tflite_micro_target();
}  // namespace octet
