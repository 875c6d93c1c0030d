#pragma once
// Tapped values as tensors.

#include "engine/program.h"
#include "graph/plan.h"

namespace octet {

/// The elements of a tap (f32 or i8 codes) as a tensor in the graph's layout.
[[nodiscard]] Tensor tap_tensor(const TapView& view);

/// The same as reals: codes are dequantized by the plan's quantization of the value.
[[nodiscard]] Tensor tap_reals(const TapView& view, const QuantPlan& plan);

/// Its codes, i8 or i16; empty for a value that has none. Values of 16 bits are tapped as the f32
/// that their codes stand for.
[[nodiscard]] Result<Tensor> tap_codes(const TapView& view, const QuantPlan& plan);

}  // namespace octet
