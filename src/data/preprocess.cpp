#include "data/preprocess.h"

#include <algorithm>
#include <cmath>

namespace octet {
namespace {

constexpr int weight_bits = 22;
constexpr std::int64_t max_side = 65536;
constexpr std::int64_t max_pixels = std::int64_t{1} << 27;

/// The source pixels that make one destination pixel, and their weights in fixed point.
struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

/// A triangle centred on the destination pixel, as wide as two source pixels or, when reducing, as
/// two destination pixels.
std::vector<Taps> triangle_taps(int source, int destination) {
  const double scale = static_cast<double>(source) / destination;
  const double width = std::max(scale, 1.0);
  std::vector<Taps> all(static_cast<std::size_t>(destination));
  std::vector<double> exact;
  for (int i = 0; i < destination; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - width + 0.5), 0);
    const int last = std::min(static_cast<int>(center + width + 0.5), source);
    exact.clear();
    double sum = 0;
    for (int j = first; j < last; ++j) {
      const double distance = std::abs((j - center + 0.5) * (1.0 / width));
      exact.push_back(std::max(0.0, 1.0 - distance));
      sum += exact.back();
    }
    auto& taps = all[static_cast<std::size_t>(i)];
    taps.first = first;
    for (const double weight : exact) {
      const double scaled = weight / sum * (1 << weight_bits);
      taps.weights.push_back(static_cast<std::int32_t>(scaled + 0.5));
    }
  }
  return all;
}

std::uint8_t to_pixel(std::int64_t sum) {
  const auto rounded = (sum + (1 << (weight_bits - 1))) >> weight_bits;
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(rounded, 0, 255));
}

/// Along the rows: `channels` interleaved values per pixel.
std::vector<std::uint8_t> resize_rows(const std::vector<std::uint8_t>& in, std::size_t rows,
                                      std::size_t width, std::size_t channels,
                                      const std::vector<Taps>& taps) {
  std::vector<std::uint8_t> out(rows * taps.size() * channels);
  auto* to = out.data();
  for (std::size_t y = 0; y < rows; ++y) {
    const auto* row = in.data() + y * width * channels;
    for (const auto& tap : taps) {
      const auto* from = row + static_cast<std::size_t>(tap.first) * channels;
      for (std::size_t c = 0; c < channels; ++c) {
        std::int64_t sum = 0;
        for (std::size_t k = 0; k < tap.weights.size(); ++k) {
          sum += std::int64_t{from[k * channels + c]} * tap.weights[k];
        }
        *to++ = to_pixel(sum);
      }
    }
  }
  return out;
}

/// Along the columns, a whole row at a time.
std::vector<std::uint8_t> resize_columns(const std::vector<std::uint8_t>& in, std::size_t row_size,
                                         const std::vector<Taps>& taps) {
  std::vector<std::uint8_t> out(taps.size() * row_size);
  std::vector<std::int32_t> sums(row_size);
  for (std::size_t y = 0; y < taps.size(); ++y) {
    // Weights sum to about 2^22 and pixels are below 2^8, so that 32 bits suffice.
    std::fill(sums.begin(), sums.end(), 0);
    const auto& tap = taps[y];
    for (std::size_t k = 0; k < tap.weights.size(); ++k) {
      const auto* row = in.data() + (static_cast<std::size_t>(tap.first) + k) * row_size;
      for (std::size_t x = 0; x < row_size; ++x) sums[x] += std::int32_t{row[x]} * tap.weights[k];
    }
    for (std::size_t x = 0; x < row_size; ++x) out[y * row_size + x] = to_pixel(sums[x]);
  }
  return out;
}

/// Size after the resize alone: the longer side keeps the proportion, rounded down.
ImageSize resized_size(const Recipe& recipe, const Image& image) {
  if (recipe.resize_width > 0) return {recipe.resize_width, recipe.resize_height};
  if (recipe.resize_shorter == 0) return {image.width, image.height};
  const std::int64_t shorter = std::min(image.width, image.height);
  const std::int64_t longer = std::max(image.width, image.height);
  const auto scaled = std::min(recipe.resize_shorter * longer / shorter, max_side + 1);
  const auto side = static_cast<int>(scaled);
  return image.width <= image.height ? ImageSize{recipe.resize_shorter, side}
                                     : ImageSize{side, recipe.resize_shorter};
}

Status check_image(const Image& image) {
  const auto count = std::int64_t{image.width} * image.height * image.channels;
  const bool channels = image.channels == 1 || image.channels == 3;
  if (!channels || image.width < 1 || image.height < 1 ||
      count != static_cast<std::int64_t>(image.pixels.size())) {
    return internal_error("malformed image {}x{}x{}", image.width, image.height, image.channels);
  }
  return {};
}

}  // namespace

Image resize_bilinear(const Image& image, int width, int height) {
  Image out{width, height, image.channels, {}};
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto rows = static_cast<std::size_t>(image.height);
  out.pixels = width == image.width
                   ? image.pixels
                   : resize_rows(image.pixels, rows, static_cast<std::size_t>(image.width),
                                 channels, triangle_taps(image.width, width));
  if (height != image.height) {
    const auto row_size = static_cast<std::size_t>(width) * channels;
    out.pixels = resize_columns(out.pixels, row_size, triangle_taps(image.height, height));
  }
  return out;
}

Result<Image> center_crop(const Image& image, int width, int height) {
  if (image.width < width || image.height < height) {
    return bad_input("an image of {}x{} is too small for a crop of {}x{}; add resize_shorter",
                     image.width, image.height, width, height);
  }
  const auto left = static_cast<std::size_t>((image.width - width) / 2);
  const auto top = static_cast<std::size_t>((image.height - height) / 2);
  const auto channels = static_cast<std::size_t>(image.channels);
  const auto row_size = static_cast<std::size_t>(width) * channels;
  Image out{width, height, image.channels, {}};
  out.pixels.resize(row_size * static_cast<std::size_t>(height));
  for (std::size_t y = 0; y < static_cast<std::size_t>(height); ++y) {
    const auto from = ((top + y) * static_cast<std::size_t>(image.width) + left) * channels;
    std::copy_n(image.pixels.data() + from, row_size, out.pixels.data() + y * row_size);
  }
  return out;
}

Image with_channels(const Image& image, int channels) {
  if (image.channels == channels) return image;
  Image out{image.width, image.height, channels, {}};
  const auto count = static_cast<std::size_t>(std::int64_t{image.width} * image.height);
  out.pixels.resize(count * static_cast<std::size_t>(channels));
  if (channels == 3) {
    for (std::size_t i = 0; i < out.pixels.size(); ++i) out.pixels[i] = image.pixels[i / 3];
    return out;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto* rgb = image.pixels.data() + 3 * i;
    const auto sum = 19595U * rgb[0] + 38470U * rgb[1] + 7471U * rgb[2] + 0x8000U;
    out.pixels[i] = static_cast<std::uint8_t>(sum >> 16);
  }
  return out;
}

Result<ImageSize> output_size(const Recipe& recipe, const Image& image) {
  const auto size = resized_size(recipe, image);
  if (size.width > max_side || size.height > max_side ||
      std::int64_t{size.width} * size.height > max_pixels) {
    return bad_input("an image of {}x{} would become absurdly large when resized", image.width,
                     image.height);
  }
  if (recipe.crop == 0) return size;
  if (size.width < recipe.crop || size.height < recipe.crop) {
    return bad_input(
        "its size {}x{}{} is too small for the recipe's crop of {}", size.width, size.height,
        recipe.resize_shorter > 0 || recipe.resize_width > 0 ? " after resizing" : "", recipe.crop);
  }
  return ImageSize{recipe.crop, recipe.crop};
}

Result<Image> resize_and_crop(const Recipe& recipe, const Image& image) {
  OCTET_TRY(output_size(recipe, image));
  const auto size = resized_size(recipe, image);
  const bool same = size.width == image.width && size.height == image.height;
  Image resized = same ? image : resize_bilinear(image, size.width, size.height);
  if (recipe.crop == 0) return resized;
  return center_crop(resized, recipe.crop, recipe.crop);
}

Result<PixelTable> PixelTable::create(const Recipe& recipe, int channels) {
  PixelTable table;
  table.channels_ = channels;
  table.reverse_ = recipe.color == ColorOrder::bgr && channels == 3;
  const auto count = static_cast<std::size_t>(channels);
  for (const auto* values : {&recipe.mean, &recipe.std}) {
    if (values->size() > 1 && values->size() != count) {
      return bad_input("the recipe's {} has {} numbers, but the input has {} channel(s)",
                       values == &recipe.mean ? "mean" : "std", values->size(), channels);
    }
  }
  const auto pick = [](const std::vector<float>& values, std::size_t c, double fallback) {
    if (values.empty()) return fallback;
    return static_cast<double>(values.size() == 1 ? values[0] : values[c]);
  };
  for (std::size_t c = 0; c < count; ++c) {
    const double mean = pick(recipe.mean, c, 0.0);
    const double std = pick(recipe.std, c, 1.0);
    if (std == 0.0) return bad_input("recipe: std must not be 0");
    for (std::size_t pixel = 0; pixel < 256; ++pixel) {
      const double x = (static_cast<double>(pixel) * recipe.scale - mean) / std;
      table.values_[c][pixel] = static_cast<float>(x);
    }
  }
  return table;
}

Tensor PixelTable::apply(const Image& image, ImageLayout layout) const {
  const bool planar = layout == ImageLayout::nchw;
  Tensor out(DType::f32, planar ? Shape{1, channels_, image.height, image.width}
                                : Shape{1, image.height, image.width, channels_});
  float* to = out.mutable_data<float>();
  const auto channels = static_cast<std::size_t>(channels_);
  const auto count = image.pixels.size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    const auto* from = image.pixels.data() + (reverse_ ? channels - 1 - c : c);
    const auto& table = values_[c];
    float* plane = planar ? to + c * count : to + c;
    const std::size_t step = planar ? 1 : channels;
    for (std::size_t i = 0; i < count; ++i) plane[i * step] = table[from[i * channels]];
  }
  return out;
}

bool is_plain(const Recipe& recipe) {
  const auto all = [](const std::vector<float>& values, float wanted) {
    return std::all_of(values.begin(), values.end(), [&](float v) { return v == wanted; });
  };
  return recipe.resize_shorter == 0 && recipe.crop == 0 && recipe.resize_width == 0 &&
         recipe.color != ColorOrder::bgr && recipe.scale == 1.0 && all(recipe.mean, 0.0F) &&
         all(recipe.std, 1.0F);
}

Result<Tensor> apply_recipe(const Recipe& recipe, const Image& image, ImageLayout layout) {
  OCTET_TRY(check_image(image));
  OCTET_ASSIGN(const auto table,
               PixelTable::create(recipe, recipe.color == ColorOrder::gray ? 1 : 3));
  OCTET_ASSIGN(const auto sized, resize_and_crop(recipe, image));
  return table.apply(with_channels(sized, table.channels()), layout);
}

}  // namespace octet
