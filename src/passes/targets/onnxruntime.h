#pragma once
#include "passes/target.h"

namespace octet {

/// ONNX Runtime on x86 with QDQ models.
[[nodiscard]] const TargetProfile& onnxruntime_target();

}  // namespace octet
