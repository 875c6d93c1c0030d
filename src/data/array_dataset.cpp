#include "data/array_dataset.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "core/log.h"
#include "data/array_source.h"
#include "data/image_dataset.h"
#include "data/image_input.h"
#include "data/npy.h"
#include "data/selection.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

bool same_shape(const Shape& row, const Shape& wanted) {
  if (row.size() != wanted.size()) return false;
  for (std::size_t d = 1; d < row.size(); ++d) {
    if (wanted[d] >= 0 && wanted[d] != row[d]) return false;
  }
  return true;
}

/// Without dimensions of 1.
Shape squeezed(Shape shape) {
  shape.erase(shape.begin());
  std::erase(shape, 1);
  return shape;
}

/// The shape that a row [1, ...] takes to be fed; flat and unflat, or [H,W] and [1,H,W], are one.
Result<Shape> fitted_shape(const Shape& row, const InputSpec& spec) {
  if (spec.shape.empty() || same_shape(row, spec.shape)) return row;
  Shape wanted = spec.shape;
  wanted[0] = 1;
  if (is_static(wanted) && element_count(wanted) == element_count(row) &&
      (row.size() == 2 || wanted.size() == 2 || squeezed(row) == squeezed(wanted))) {
    return wanted;
  }
  return bad_input("input {} wants samples of shape {}, the array has {}", spec.name,
                   to_string(wanted), to_string(row));
}

/// Integers as another integer or boolean type of at least 8 bits, which must hold them.
Result<Tensor> convert_integers(const Tensor& tensor, const InputSpec& spec) {
  auto values = to_int64(tensor);
  if (!values) return tl::unexpected(values.error().with_context("input " + spec.name));
  if (spec.dtype == DType::i64) return Tensor::from<std::int64_t>(*values, tensor.shape());
  const int width = spec.dtype == DType::boolean ? 1 : bits(spec.dtype);
  const int magnitude = std::min(is_signed(spec.dtype) ? width - 1 : width, 63);
  const auto high = static_cast<std::int64_t>((std::uint64_t{1} << magnitude) - 1);
  const std::int64_t low = is_signed(spec.dtype) ? -high - 1 : 0;
  OCTET_ASSIGN(Tensor out, Tensor::create(spec.dtype, tensor.shape()));
  auto* to = out.mutable_raw();
  const auto bytes = static_cast<std::size_t>(bits(spec.dtype)) / 8;
  for (const auto value : *values) {
    if (value < low || value > high) {
      return bad_input("input {} wants {}, the array holds {}", spec.name, name(spec.dtype), value);
    }
    std::memcpy(to, &value, bytes);  // little-endian
    to += bytes;
  }
  return out;
}

Result<Tensor> convert_type(const Tensor& tensor, const InputSpec& spec) {
  if (tensor.dtype() == spec.dtype) return tensor;
  if (spec.dtype == DType::f32) return to_f32(tensor);
  const bool whole = spec.dtype == DType::boolean || is_integer(spec.dtype);
  if (whole && bits(spec.dtype) >= 8) return convert_integers(tensor, spec);
  return bad_input("input {} wants {}, the array has {}", spec.name, name(spec.dtype),
                   name(tensor.dtype()));
}

/// How an array feeds an input: as it is, or as an image through the recipe.
enum class Feed : std::uint8_t { tensor, image };

struct ImageAxes {
  int height = 0;
  int width = 0;
  int channels = 0;
  bool planar = false;
};

int clamp_dim(std::int64_t dim) {
  return static_cast<int>(std::min<std::int64_t>(dim, std::numeric_limits<int>::max()));
}

bool is_channels(std::int64_t dim) { return dim == 1 || dim == 3; }

/// What rows of this shape [N, ...] are as images: HWC, CHW, HW, or flat (one row of grey pixels).
std::optional<ImageAxes> image_axes(const Shape& shape, ImageLayout preferred) {
  if (shape.size() == 2) return ImageAxes{1, clamp_dim(shape[1]), 1, false};
  if (shape.size() == 3) return ImageAxes{clamp_dim(shape[1]), clamp_dim(shape[2]), 1, false};
  if (shape.size() != 4) return std::nullopt;
  const bool first = is_channels(shape[1]);
  const bool last = is_channels(shape[3]);
  if (!first && !last) return std::nullopt;
  const bool planar = first && (!last || preferred == ImageLayout::nchw);
  if (planar) {
    return ImageAxes{clamp_dim(shape[2]), clamp_dim(shape[3]), clamp_dim(shape[1]), true};
  }
  return ImageAxes{clamp_dim(shape[1]), clamp_dim(shape[2]), clamp_dim(shape[3]), false};
}

Image to_image(const Tensor& row, const ImageAxes& axes) {
  Image image{axes.width, axes.height, axes.channels, {}};
  const auto values = row.values<std::uint8_t>();
  image.pixels.assign(values.begin(), values.end());
  if (!axes.planar || axes.channels == 1) return image;
  const auto channels = static_cast<std::size_t>(axes.channels);
  const auto count = values.size() / channels;
  for (std::size_t c = 0; c < channels; ++c) {
    for (std::size_t i = 0; i < count; ++i) image.pixels[i * channels + c] = values[c * count + i];
  }
  return image;
}

class ArrayStream final : public SampleStream {
 public:
  ArrayStream(std::shared_ptr<const std::vector<ArraySource>> sources,
              std::vector<std::int64_t> selection, std::string name)
      : sources_(std::move(sources)), selection_(std::move(selection)), name_(std::move(name)) {}

  Result<std::optional<RawSample>> next() override {
    if (position_ == selection_.size()) return std::nullopt;
    RawSample sample;
    sample.index = selection_[position_++];
    sample.name = fmt::format("{}[{}]", name_, sample.index);
    for (const auto& source : *sources_) {
      OCTET_ASSIGN(auto row, source.row(sample.index));
      sample.tensors.push_back(std::move(row));
    }
    return std::optional<RawSample>(std::move(sample));
  }

 private:
  std::shared_ptr<const std::vector<ArraySource>> sources_;
  std::vector<std::int64_t> selection_;
  std::string name_;
  std::size_t position_ = 0;
};

class ArrayDataset final : public Dataset {
 public:
  /// `sources` in the order of the inputs.
  static Result<std::unique_ptr<Dataset>> create(const fs::path& path,
                                                 std::vector<ArraySource> sources,
                                                 std::vector<std::int32_t> labels,
                                                 const DatasetOptions& options) {
    auto out = std::unique_ptr<ArrayDataset>(new ArrayDataset);
    out->name_ = dataset_name(path);
    out->labels_ = std::move(labels);
    out->inputs_ = options.inputs;
    auto status = out->choose_feed(sources, options.recipe);
    if (!status) return tl::unexpected(status.error().with_context(path.string()));
    out->sources_ = std::make_shared<const std::vector<ArraySource>>(std::move(sources));
    return std::unique_ptr<Dataset>(std::move(out));
  }

  std::int64_t size() const override { return (*sources_)[0].rows(); }
  const std::string& name() const override { return name_; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  int class_count() const override { return 0; }

  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    OCTET_TRY(check_selection(selection, size()));
    return std::unique_ptr<SampleStream>(
        std::make_unique<ArrayStream>(sources_, std::move(selection), name_));
  }

  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    std::vector<Tensor> out;
    for (std::size_t i = 0; i < sample.tensors.size(); ++i) {
      auto tensor = decode_one(sample.tensors[i], i);
      if (!tensor) return tl::unexpected(tensor.error().with_context("cannot use " + sample.name));
      out.push_back(std::move(*tensor));
    }
    return out;
  }

 private:
  ArrayDataset() = default;

  Result<Tensor> decode_one(const Tensor& row, std::size_t i) const {
    if (feed_ == Feed::image) return (*image_input_)(to_image(row, axes_));
    if (i >= inputs_.size()) return row;
    OCTET_ASSIGN(auto shape, fitted_shape(row.shape(), inputs_[i]));
    return convert_type(row.reshaped(std::move(shape)), inputs_[i]);
  }

  /// u8 arrays are pixels; everything else is fed as it is. Shapes are checked here, once.
  Status choose_feed(const std::vector<ArraySource>& sources, const Recipe& recipe) {
    const bool single = sources.size() == 1 && sources[0].dtype() == DType::u8;
    const bool fed_pixels = inputs_.empty() || inputs_[0].dtype == DType::f32;
    if (single && fed_pixels && !(is_plain(recipe) && shape_fits(sources[0]))) {
      return use_images(sources[0], recipe);
    }
    if (!is_plain(recipe)) {
      log_info("{}: the recipe applies to u8 images; these arrays are fed as they are", name_);
    }
    for (std::size_t i = 0; i < std::min(sources.size(), inputs_.size()); ++i) {
      Shape row = sources[i].shape();
      row[0] = 1;
      OCTET_TRY(fitted_shape(row, inputs_[i]));
    }
    return {};
  }
  bool shape_fits(const ArraySource& source) const {
    Shape row = source.shape();
    row[0] = 1;
    return inputs_.empty() || fitted_shape(row, inputs_[0]).has_value();
  }
  Status use_images(const ArraySource& source, const Recipe& recipe) {
    const auto preferred = inputs_.empty() ? ImageLayout::nchw : inputs_[0].layout;
    const auto axes = image_axes(source.shape(), preferred);
    const bool valid = axes && axes->height > 0 && axes->width > 0;
    if (!valid) {
      return bad_input("an array of shape {} holds no images", to_string(source.shape()));
    }
    OCTET_ASSIGN(image_input_, ImageInput::create(recipe, inputs_));
    axes_ = *axes;
    feed_ = Feed::image;
    return {};
  }

  std::string name_;
  std::vector<std::int32_t> labels_;
  std::vector<InputSpec> inputs_;
  std::shared_ptr<const std::vector<ArraySource>> sources_;
  Feed feed_ = Feed::tensor;
  ImageAxes axes_;
  std::optional<ImageInput> image_input_;
};

std::string as_file_name(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == ':' || c == '\\'; }, '_');
  return name;
}

/// Sources in the order of the inputs, and labels.
Result<std::unique_ptr<Dataset>> match_arrays(const fs::path& path,
                                              std::vector<ArraySource> sources,
                                              const DatasetOptions& options) {
  const auto find = [&](const std::string& name) {
    return std::find_if(sources.begin(), sources.end(), [&](const ArraySource& source) {
      return source.name() == name || source.name() == as_file_name(name);
    });
  };
  const bool labels_is_input =
      std::any_of(options.inputs.begin(), options.inputs.end(),
                  [](const InputSpec& spec) { return spec.name == "labels"; });
  std::optional<ArraySource> labels;
  if (const auto found = find("labels"); found != sources.end() && !labels_is_input) {
    labels = *found;
    sources.erase(found);
  }
  std::vector<ArraySource> chosen;
  for (const auto& spec : options.inputs) {
    auto found = find(spec.name);
    if (options.inputs.size() == 1 && sources.size() == 1) found = sources.begin();
    if (found == sources.end()) {
      std::string names;
      for (const auto& source : sources) names += (names.empty() ? "" : ", ") + source.name();
      return bad_input("{} has no array {} for the model's input of that name (it has: {})",
                       path.string(), spec.name, names);
    }
    chosen.push_back(*found);
  }
  if (options.inputs.empty()) chosen = std::move(sources);
  if (chosen.empty()) return bad_input("{} holds no arrays to feed", path.string());
  for (const auto& source : chosen) {
    if (source.rows() == chosen[0].rows()) continue;
    return bad_input("{}: {} has {} samples, but {} has {}", path.string(), source.name(),
                     source.rows(), chosen[0].name(), chosen[0].rows());
  }
  const auto count = chosen[0].rows();
  if (count == 0) return bad_input("{} holds no samples", path.string());
  OCTET_ASSIGN(auto values, read_labels(options.labels, count));
  if (labels && options.labels.empty()) {
    OCTET_ASSIGN(const auto tensor, labels->all());
    OCTET_ASSIGN(values, labels_from(tensor, count, path.string() + ": labels"));
  }
  return ArrayDataset::create(path, std::move(chosen), std::move(values), options);
}

}  // namespace

Result<std::vector<std::int32_t>> labels_from(const Tensor& tensor, std::int64_t count,
                                              const std::string& source) {
  const bool flat = tensor.rank() == 1 || (tensor.rank() == 2 && tensor.dim(1) == 1);
  if (!flat || tensor.size() != count) {
    return bad_input("{} has shape {}, expected one label for each of the {} samples", source,
                     to_string(tensor.shape()), count);
  }
  auto values = to_int64(tensor);
  if (!values) return tl::unexpected(values.error().with_context(source));
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < values->size(); ++i) {
    const auto value = (*values)[i];
    if (value < 0 || value > std::numeric_limits<std::int32_t>::max()) {
      return bad_input("{}: label {} of sample {} is out of range", source, value, i);
    }
    labels.push_back(static_cast<std::int32_t>(value));
  }
  return labels;
}

Result<std::vector<std::int32_t>> read_labels(const fs::path& path, std::int64_t count) {
  if (path.empty()) return std::vector<std::int32_t>();
  OCTET_ASSIGN(const auto tensor, read_npy(path));
  return labels_from(tensor, count, path.string());
}

Result<std::unique_ptr<Dataset>> open_npy_dataset(const fs::path& path,
                                                  const DatasetOptions& options) {
  if (options.inputs.size() > 1) {
    return bad_input(
        "the model has {} inputs ({}, {}, ...), {} feeds one: give a folder with NAME.npy for "
        "each, or an .npz",
        options.inputs.size(), options.inputs[0].name, options.inputs[1].name, path.string());
  }
  OCTET_ASSIGN(auto source, ArraySource::open_npy(path));
  return match_arrays(path, {std::move(source)}, options);
}

Result<std::unique_ptr<Dataset>> open_npz_dataset(const fs::path& path,
                                                  const DatasetOptions& options) {
  OCTET_ASSIGN(auto sources, ArraySource::open_npz(path));
  return match_arrays(path, std::move(sources), options);
}

Result<std::unique_ptr<Dataset>> open_npy_folder(const fs::path& path,
                                                 const DatasetOptions& options) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(path, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const auto& file = it->path();
    const bool hidden = file.filename().string().front() == '.';
    if (!hidden && file.extension() == ".npy") files.push_back(file);
  }
  if (error) return bad_input("cannot read folder {}: {}", path.string(), error.message());
  std::sort(files.begin(), files.end());
  std::vector<ArraySource> sources;
  for (const auto& file : files) {
    OCTET_ASSIGN(auto source, ArraySource::open_npy(file));
    sources.push_back(std::move(source));
  }
  return match_arrays(path, std::move(sources), options);
}

}  // namespace octet
