#pragma once
// The part of wide_ops.h that reads images in windows.

#include "engine/float/float_op.h"
#include "engine/integer/placement.h"

namespace octet {

/// AveragePool of rank 4, whose padding does not count.
[[nodiscard]] std::unique_ptr<FloatOp> make_wide_average(const Node& node,
                                                         const Quantization& input,
                                                         const Quantization& output,
                                                         const NodePlacement& placement);
/// Resize to linear interpolation (is_litert_resample).
[[nodiscard]] std::unique_ptr<FloatOp> make_wide_resample(const Node& node,
                                                          const Quantization& input,
                                                          const Quantization& output);

}  // namespace octet
