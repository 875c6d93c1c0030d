#pragma once
// Recipe: how an image becomes the model's input.

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/tensor.h"

namespace octet {

enum class ColorOrder : std::uint8_t { rgb, bgr, gray };
enum class ImageLayout : std::uint8_t { nchw, nhwc };

/// x = (pixel * scale - mean[c]) / std[c], after resize and crop.
struct Recipe {
  int resize_shorter = 0;  ///< bilinear with antialiasing so that the shorter side has this; 0: no
  int crop = 0;            ///< centre crop to a square of this side; 0: no
  int resize_width = 0;    ///< exact resize (aspect not kept); 0: no
  int resize_height = 0;
  ColorOrder color = ColorOrder::rgb;
  std::vector<float> mean;  ///< one per channel or one for all; empty: 0
  std::vector<float> std;   ///< likewise; empty: 1
  double scale = 1.0;
  int label_offset = 0;  ///< added to data set labels to get the model's class index

  friend bool operator==(const Recipe&, const Recipe&) = default;
};

/// JSON text with the field names of Recipe. Unknown fields and wrong types are errors that name
/// the field.
[[nodiscard]] Result<Recipe> parse_recipe(std::string_view json);
[[nodiscard]] std::string to_json(const Recipe& recipe);

/// 8-bit pixels, rows top to bottom, interleaved channels.
struct Image {
  int width = 0;
  int height = 0;
  int channels = 0;  ///< 1 or 3 (RGB)
  std::vector<std::uint8_t> pixels;
};

/// Applies a recipe: f32 [1,C,H,W] or [1,H,W,C].
[[nodiscard]] Result<Tensor> apply_recipe(const Recipe& recipe, const Image& image,
                                          ImageLayout layout);

}  // namespace octet
