#pragma once
#include <optional>
#include <string_view>

#include "data/dataset.h"
#include "data/preprocess.h"

namespace octet {

/// Turns images into the one input of a model. The number of channels is the input's; where that is
/// not fixed, the recipe's. An input [N,K] takes the pixels flattened, rows outermost, channels
/// innermost; [N,H,W] takes grey images. An NCHW input whose second dimension cannot be channels
/// but whose last can ([N,32,32,3]) is taken as NHWC.
class ImageInput {
 public:
  /// Fails where the model cannot take images: several inputs, other ranks, types or channels than
  /// f32 (or u8, raw), 1 or 3. Without inputs the recipe alone decides: [1,C,H,W].
  [[nodiscard]] static Result<ImageInput> create(const Recipe& recipe,
                                                 const std::vector<InputSpec>& inputs);

  /// One tensor with batch dimension 1. Errors tell the sizes, not the sample.
  [[nodiscard]] Result<Tensor> operator()(const Image& image) const;

 private:
  ImageInput(Recipe recipe, std::optional<InputSpec> spec)
      : recipe_(std::move(recipe)), spec_(std::move(spec)) {}
  Status read_spec();
  [[nodiscard]] Status check_size(ImageSize size) const;
  [[nodiscard]] int channels_for(const Image& image, ImageSize size) const;
  [[nodiscard]] Result<Tensor> finish(Tensor tensor) const;

  Recipe recipe_;
  std::optional<InputSpec> spec_;
  std::optional<PixelTable> gray_;
  std::optional<PixelTable> color_;
  ImageLayout layout_ = ImageLayout::nchw;
  std::int64_t channels_ = dynamic_dim;
  std::int64_t height_ = dynamic_dim;
  std::int64_t width_ = dynamic_dim;
  std::int64_t flat_ = 0;  // K of an input [N,K], or dynamic; 0: the input is not flat
};

}  // namespace octet
