#pragma once
// Random changes of training images after preprocessing.

#include "data/recipe.h"
#include "training/samples.h"

namespace octet {

struct Augmentation {
  int crop_padding = 0;  ///< zeros around the image, of which a random crop of its size is taken
  bool flip = false;     ///< left and right, every second time
  int cutout = 0;        ///< side of a square that is set to 0 (DeVries and Taylor 2017)
  double mixup = 0;      ///< alpha of the Beta distribution (Zhang et al. 2018); 0: none

  [[nodiscard]] bool changes_images() const { return crop_padding > 0 || flip || cutout > 0; }
  friend bool operator==(const Augmentation&, const Augmentation&) = default;
};

/// Crop, flip and cutout of one image [1,C,H,W] or [1,H,W,C] in place.
void augment(const Augmentation& augmentation, ImageLayout layout, Random& random, Tensor& image);

/// A draw from Beta(alpha, alpha).
[[nodiscard]] double draw_beta(double alpha, Random& random);

}  // namespace octet
