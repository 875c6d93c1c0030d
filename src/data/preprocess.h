#pragma once
// The steps of a recipe, one by one.

#include <array>

#include "core/result.h"
#include "data/recipe.h"

namespace octet {

/// Bilinear resize with antialiasing: a triangle filter as wide as the reduction factor, first
/// along rows, then along columns, each rounded to 8 bits with 22-bit fixed-point weights: the
/// values that Pillow's BILINEAR gives. Sizes must be >= 1.
[[nodiscard]] Image resize_bilinear(const Image& image, int width, int height);

/// The middle of an image; the left and top margins round down. Fails when the image is smaller.
[[nodiscard]] Result<Image> center_crop(const Image& image, int width, int height);

/// RGB to grey by ITU-R 601 in 16-bit fixed point, (19595 R + 38470 G + 7471 B + 2^15) >> 16, or
/// grey to RGB by repeating.
[[nodiscard]] Image with_channels(const Image& image, int channels);

struct ImageSize {
  int width = 0;
  int height = 0;
};

/// Size after resize and crop. Fails when an image is too small for the crop, or absurdly long.
[[nodiscard]] Result<ImageSize> output_size(const Recipe& recipe, const Image& image);

/// Resize and crop.
[[nodiscard]] Result<Image> resize_and_crop(const Recipe& recipe, const Image& image);

/// (pixel * scale - mean) / std of each of the 256 pixel values, computed in double and rounded
/// once. `channels` is 1 or 3; of a BGR recipe mean and std are in BGR order.
class PixelTable {
 public:
  [[nodiscard]] static Result<PixelTable> create(const Recipe& recipe, int channels);
  [[nodiscard]] int channels() const { return channels_; }
  /// f32 [1,C,H,W] or [1,H,W,C] of an image that has as many channels as the table.
  [[nodiscard]] Tensor apply(const Image& image, ImageLayout layout) const;

 private:
  int channels_ = 1;
  bool reverse_ = false;  // BGR
  std::array<std::array<float, 256>, 3> values_{};
};

/// Whether pixels go in as they are: no resize, crop or arithmetic, RGB or grey.
[[nodiscard]] bool is_plain(const Recipe& recipe);

}  // namespace octet
