#pragma once
// Geometry of convolutions and pooling: one place that reads kernel_shape, strides, dilations,
// pads, auto_pad and ceil_mode.

#include <cstdint>
#include <vector>

#include "graph/graph.h"

namespace octet {

/// All vectors have one entry for each spatial dimension, outermost first (height, width).
struct SpatialGeometry {
  std::vector<std::int64_t> kernel;
  std::vector<std::int64_t> strides;
  std::vector<std::int64_t> dilations;
  std::vector<std::int64_t> pads_begin;  ///< after auto_pad
  std::vector<std::int64_t> pads_end;    ///< after auto_pad; without what ceil_mode reads beyond
  std::vector<std::int64_t> output;      ///< extents of the output

  [[nodiscard]] std::size_t rank() const { return kernel.size(); }
  /// Extent that a dilated kernel covers: (kernel - 1) * dilation + 1.
  [[nodiscard]] std::int64_t effective_kernel(std::size_t i) const {
    return (kernel[i] - 1) * dilations[i] + 1;
  }
};

/// Resolves a Conv's or pooling node's attributes against the input's spatial extents (without
/// batch and channels) and the kernel's extents. Formulas of the ONNX operator specification:
///
///   NOTSET, VALID  out = floor((in + pads - effective_kernel) / stride) + 1   (ceil for ceil_mode,
///                  less a last window that would start in the end padding)
///   SAME_*         out = ceil(in / stride), the odd pad at the end (UPPER) or beginning (LOWER)
///
/// A dynamic extent gives a dynamic output; its SAME_* pads are then not known and stay 0
/// unless the stride is 1. Fails
/// on attributes of wrong length or out of range and on outputs without extent; the message does
/// not name the node.
[[nodiscard]] Result<SpatialGeometry> resolve_spatial(const Node& node, const Shape& input_spatial,
                                                      const Shape& kernel);

/// The same from whole shapes: input [N,C,...], weight [M,C/group,...]. Checks ranks and the
/// kernel_shape attribute.
[[nodiscard]] Result<SpatialGeometry> resolve_conv(const Node& node, const Shape& input,
                                                   const Shape& weight);

/// Geometry of a ConvTranspose: input [N,C,...], weight [C,M/group,...]. `output` holds the extents
/// of the result, and the element x of the input adds weight tap k to the output element
/// x * stride + k * dilation - pads_begin, where there is one; output_padding is part of `output`
/// already. Formulas of the ONNX operator specification:
///
///   full           stride * (in - 1) + output_padding + effective_kernel
///   NOTSET, VALID  out = full - pads
///   output_shape   out as stated, pads = max(full - out, 0) whatever `pads` says; the odd one at
///                  the end for SAME_UPPER, else at the beginning
///   SAME_*         the same with out = in * stride
///
/// Where `full` falls short of a demanded output, the elements beyond it get the bias alone.
/// Dynamic extents as in resolve_spatial; SAME_* pads do not depend on them. Checks ranks,
/// channels against group, and the kernel_shape attribute.
[[nodiscard]] Result<SpatialGeometry> resolve_conv_transpose(const Node& node, const Shape& input,
                                                             const Shape& weight);

/// The same as resolve_conv for MaxPool and AveragePool on [N,C,...]; the kernel is the attribute
/// kernel_shape. Padding must be smaller than the kernel.
[[nodiscard]] Result<SpatialGeometry> resolve_pool(const Node& node, const Shape& input);

}  // namespace octet
