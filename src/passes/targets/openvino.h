#pragma once
#include "passes/target.h"

namespace octet {

/// The CPU plugin of OpenVINO with QDQ models.
[[nodiscard]] const TargetProfile& openvino_target();

}  // namespace octet
