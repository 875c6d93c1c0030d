#pragma once
#include <utility>
#include <vector>

#include "formats/tflite/lowering.h"
#include "graph/spatial.h"

namespace octet::tflite {

/// One-dimensional images are seen as two-dimensional ones of height 1: their geometry, [N,L,C] as
/// [N,1,L,C], where the result of that goes and the way back. Other ranks stay as they are.
[[nodiscard]] SpatialGeometry two_dimensional(SpatialGeometry geometry);
[[nodiscard]] Result<TensorId> with_height(Lowering& l, TensorId from);
[[nodiscard]] TensorId wide_result(Lowering& l, TensorId result);
[[nodiscard]] Status narrow_result(Lowering& l, TensorId wide, TensorId result);

enum class PadWith : std::uint8_t { zero, lowest };

struct PaddedImage {
  TensorId tensor = TensorId::none;
  wire::Padding padding = wire::Padding::VALID;
};

/// How a window of this geometry is stated: SAME where its pads are those of SAME at the known
/// extents, VALID where there are none, else VALID on an image that a PAD (PADV2 for the lowest
/// value) has made larger. `image` is [N,H,W,C]; ends grow by what ceil_mode reads beyond.
[[nodiscard]] Result<PaddedImage> pad_image(Lowering& l, const Node& node, TensorId image,
                                            const SpatialGeometry& geometry, PadWith with);

}  // namespace octet::tflite
