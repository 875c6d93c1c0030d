#pragma once
// The order of axes in which a model takes images.

#include "graph/image_layout.h"
#include "graph/plan.h"

namespace octet {

/// Makes the rank-4 image inputs of a float or quantized model take `order`, and returns how many
/// there are that do so now. An input keeps its name, a Transpose behind it gives what its readers
/// expect; where these were Transposes back, both disappear. Inputs whose readers show no order
/// (shown_axis_order) stay as they are.
[[nodiscard]] Result<int> set_input_layout(QuantizedGraph& model, AxisOrder order);

}  // namespace octet
