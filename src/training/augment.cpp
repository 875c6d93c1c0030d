#include "training/augment.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

/// Extents and steps of an image, whatever its layout.
struct Geometry {
  std::int64_t channels, height, width;
  std::int64_t channel_step, row_step, column_step;
};

Geometry geometry_of(const Tensor& image, ImageLayout layout) {
  if (layout == ImageLayout::nchw) {
    return {image.dim(1), image.dim(2), image.dim(3), image.dim(2) * image.dim(3), image.dim(3), 1};
  }
  return {image.dim(3), image.dim(1), image.dim(2), 1, image.dim(2) * image.dim(3), image.dim(3)};
}

/// out(y, x) = in(y + dy, x + dx), mirrored where asked for, 0 outside.
Tensor shifted(const Tensor& image, const Geometry& g, std::int64_t dy, std::int64_t dx,
               bool mirrored) {
  Tensor out = Tensor::zeros(DType::f32, image.shape());
  const float* from = image.data<float>();
  float* to = out.mutable_data<float>();
  for (std::int64_t c = 0; c < g.channels; ++c) {
    for (std::int64_t y = 0; y < g.height; ++y) {
      const auto source_y = y + dy;
      if (source_y < 0 || source_y >= g.height) continue;
      for (std::int64_t x = 0; x < g.width; ++x) {
        const auto source_x = (mirrored ? g.width - 1 - x : x) + dx;
        if (source_x < 0 || source_x >= g.width) continue;
        to[c * g.channel_step + y * g.row_step + x * g.column_step] =
            from[c * g.channel_step + source_y * g.row_step + source_x * g.column_step];
      }
    }
  }
  return out;
}

void cut_square(int side, const Geometry& g, Random& random, Tensor& image) {
  const auto top = random.below(g.height) - side / 2;
  const auto left = random.below(g.width) - side / 2;
  float* values = image.mutable_data<float>();
  for (auto y = std::max<std::int64_t>(top, 0); y < std::min(g.height, top + side); ++y) {
    for (auto x = std::max<std::int64_t>(left, 0); x < std::min(g.width, left + side); ++x) {
      for (std::int64_t c = 0; c < g.channels; ++c) {
        values[c * g.channel_step + y * g.row_step + x * g.column_step] = 0;
      }
    }
  }
}

/// Gamma(shape, 1) by Marsaglia and Tsang 2000, with normal numbers by Box and Muller.
double draw_gamma(double shape, Random& random) {
  if (shape < 1) {
    const double u = 1 - random.uniform();
    return draw_gamma(shape + 1, random) * std::pow(u, 1 / shape);
  }
  const double d = shape - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double normal = std::sqrt(-2 * std::log(1 - random.uniform())) *
                          std::cos(6.283185307179586 * random.uniform());
    const double v = std::pow(1 + c * normal, 3);
    if (v <= 0) continue;
    const double u = 1 - random.uniform();
    if (std::log(u) < 0.5 * normal * normal + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace

void augment(const Augmentation& augmentation, ImageLayout layout, Random& random, Tensor& image) {
  const Geometry g = geometry_of(image, layout);
  const int reach = augmentation.crop_padding;
  // Drawn whether they are used or not: one option does not change what another draws.
  const auto dy = random.below(2 * reach + 1) - reach;
  const auto dx = random.below(2 * reach + 1) - reach;
  const bool mirrored = random.below(2) == 1 && augmentation.flip;
  if (dy != 0 || dx != 0 || mirrored) image = shifted(image, g, dy, dx, mirrored);
  if (augmentation.cutout > 0) cut_square(augmentation.cutout, g, random, image);
}

double draw_beta(double alpha, Random& random) {
  const double a = draw_gamma(alpha, random);
  const double b = draw_gamma(alpha, random);
  return a + b > 0 ? a / (a + b) : 0.5;
}

}  // namespace octet
