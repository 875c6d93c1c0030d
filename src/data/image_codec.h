#pragma once
#include <span>

#include "core/result.h"
#include "data/recipe.h"

namespace octet {

/// Decodes JPEG, PNG or BMP, told apart by their first bytes, to 3 channels (RGB) of 8 bits:
/// grey is repeated, alpha dropped, 16 bits cut to the upper 8, CMYK converted. JPEG is decoded
/// with the accurate integer DCT and smooth chroma upsampling, as libjpeg does by default. Images
/// beyond 2^26 pixels are refused. Errors say what is wrong, not in which file.
[[nodiscard]] Result<Image> decode_image(std::span<const std::byte> bytes);

}  // namespace octet
