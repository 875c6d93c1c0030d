#pragma once
#include "passes/target.h"

namespace octet {
[[nodiscard]] const TargetProfile& tflite_target();
}  // namespace octet
