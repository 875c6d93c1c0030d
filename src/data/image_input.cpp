#include "data/image_input.h"

namespace octet {
namespace {

bool is_channel_count(std::int64_t dim) { return dim == 1 || dim == 3; }

std::string side(std::int64_t dim) { return dim < 0 ? "?" : std::to_string(dim); }

}  // namespace

Result<ImageInput> ImageInput::create(const Recipe& recipe, const std::vector<InputSpec>& inputs) {
  if (inputs.size() > 1) {
    return bad_input(
        "the model has {} inputs ({}, {}, ...), images feed one: give a folder with NAME.npy for "
        "each, or an .npz",
        inputs.size(), inputs[0].name, inputs[1].name);
  }
  ImageInput out(recipe, inputs.empty() ? std::nullopt : std::optional(inputs[0]));
  OCTET_TRY(out.read_spec());
  // The recipe of a grey input may be written for colour, or the other way round; only the table
  // that is used has to fit.
  auto gray = PixelTable::create(recipe, 1);
  auto color = PixelTable::create(recipe, 3);
  if (gray) out.gray_ = *gray;
  if (color) out.color_ = *color;
  if (out.channels_ == 1 && !gray) return tl::unexpected(gray.error());
  if (out.channels_ == 3 && !color) return tl::unexpected(color.error());
  if (!gray && !color) return tl::unexpected(color.error());
  return out;
}

Status ImageInput::read_spec() {
  if (!spec_) {
    channels_ = recipe_.color == ColorOrder::gray ? 1 : 3;
    return {};
  }
  const auto& shape = spec_->shape;
  if (spec_->dtype != DType::f32 && !(spec_->dtype == DType::u8 && is_plain(recipe_))) {
    return bad_input("input {} has type {}: images feed f32, or without a recipe u8", spec_->name,
                     octet::name(spec_->dtype));
  }
  layout_ = spec_->layout;
  if (shape.size() == 2) {
    flat_ = shape[1];
    layout_ = ImageLayout::nhwc;
    return {};
  }
  if (shape.size() == 3) {
    channels_ = 1;
    height_ = shape[1];
    width_ = shape[2];
    return {};
  }
  if (shape.size() != 4) {
    return bad_input("input {} has shape {}, which is not that of images", spec_->name,
                     to_string(shape));
  }
  if (layout_ == ImageLayout::nchw && shape[1] >= 0 && !is_channel_count(shape[1]) &&
      is_channel_count(shape[3])) {
    layout_ = ImageLayout::nhwc;
  }
  const bool planar = layout_ == ImageLayout::nchw;
  channels_ = planar ? shape[1] : shape[3];
  height_ = planar ? shape[2] : shape[1];
  width_ = planar ? shape[3] : shape[2];
  if (channels_ < 0) return {};
  if (!is_channel_count(channels_)) {
    return bad_input("input {} of shape {} has {} channels, images have 1 or 3", spec_->name,
                     to_string(shape), channels_);
  }
  if (channels_ == 3 && recipe_.color == ColorOrder::gray) {
    return bad_input("the recipe's color gray gives 1 channel, input {} of shape {} wants 3",
                     spec_->name, to_string(shape));
  }
  return {};
}

Status ImageInput::check_size(ImageSize size) const {
  const bool fits = (width_ < 0 || width_ == size.width) && (height_ < 0 || height_ == size.height);
  if (fits) return {};
  return bad_input(
      "its size is {}x{}{}, but input {} wants {}x{} (width x height): use a recipe with "
      "resize_shorter and crop, or with resize_width and resize_height",
      size.width, size.height,
      recipe_.crop > 0 || recipe_.resize_shorter > 0 || recipe_.resize_width > 0
          ? " after the recipe"
          : "",
      spec_ ? spec_->name : "", side(width_), side(height_));
}

int ImageInput::channels_for(const Image& image, ImageSize size) const {
  if (channels_ > 0) return static_cast<int>(channels_);
  const auto pixels = std::int64_t{size.width} * size.height;
  if (flat_ > 0) return flat_ == pixels ? 1 : 3;
  return recipe_.color == ColorOrder::gray || image.channels == 1 ? 1 : 3;
}

Result<Tensor> ImageInput::operator()(const Image& image) const {
  OCTET_ASSIGN(const auto size, output_size(recipe_, image));
  OCTET_TRY(check_size(size));
  const int channels = channels_for(image, size);
  const auto values = std::int64_t{size.width} * size.height * channels;
  if (flat_ > 0 && values != flat_) {
    return bad_input(
        "its {}x{} pixels do not make the {} values of input {}: use a recipe with resize_width "
        "and resize_height",
        size.width, size.height, flat_, spec_->name);
  }
  const auto& table = channels == 1 ? gray_ : color_;
  if (!table) {
    return bad_input("the recipe's mean or std do not fit an input of {} channel(s)", channels);
  }
  const bool resized = size.width != image.width || size.height != image.height;
  if (!resized && image.channels == channels) return finish(table->apply(image, layout_));
  OCTET_ASSIGN(const auto sized, resize_and_crop(recipe_, image));
  return finish(table->apply(with_channels(sized, channels), layout_));
}

Result<Tensor> ImageInput::finish(Tensor tensor) const {
  if (!spec_) return tensor;
  if (spec_->shape.size() == 2) tensor = tensor.reshaped({1, tensor.size()});
  if (spec_->shape.size() == 3) tensor = tensor.reshaped({1, tensor.dim(2), tensor.dim(3)});
  if (spec_->dtype == DType::f32) return tensor;
  // A u8 input takes the pixels: the table of a plain recipe holds them exactly.
  Tensor raw(DType::u8, tensor.shape());
  auto* to = raw.mutable_data<std::uint8_t>();
  const float* from = tensor.data<float>();
  for (std::int64_t i = 0; i < raw.size(); ++i) to[i] = static_cast<std::uint8_t>(from[i]);
  return raw;
}

}  // namespace octet
