#include "data/image_dataset.h"

#include <algorithm>

#include "data/byte_stream.h"
#include "data/image_codec.h"
#include "data/image_input.h"
#include "data/image_list.h"
#include "data/selection.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t max_image_file = std::uint64_t{256} << 20;

using Entries = std::shared_ptr<const std::vector<ImageEntry>>;

/// Walks the selected entries; how their bytes are read is up to the derived class.
class ImageStream : public SampleStream {
 public:
  ImageStream(Entries entries, std::vector<std::int64_t> selection)
      : entries_(std::move(entries)), selection_(std::move(selection)) {}

  Result<std::optional<RawSample>> next() final {
    if (position_ == selection_.size()) return std::nullopt;
    RawSample sample;
    sample.index = selection_[position_++];
    const auto& entry = (*entries_)[static_cast<std::size_t>(sample.index)];
    sample.name = entry.name;
    OCTET_ASSIGN(sample.bytes, read(entry));
    return std::optional<RawSample>(std::move(sample));
  }

 protected:
  [[nodiscard]] virtual Result<std::vector<std::byte>> read(const ImageEntry& entry) = 0;

 private:
  Entries entries_;
  std::vector<std::int64_t> selection_;
  std::size_t position_ = 0;
};

class FolderStream final : public ImageStream {
 public:
  FolderStream(Entries entries, std::vector<std::int64_t> selection, fs::path folder)
      : ImageStream(std::move(entries), std::move(selection)), folder_(std::move(folder)) {}

 private:
  Result<std::vector<std::byte>> read(const ImageEntry& entry) override {
    return read_whole_file(folder_ / entry.name, max_image_file);
  }
  fs::path folder_;
};

class ArchiveStream final : public ImageStream {
 public:
  ArchiveStream(Entries entries, std::vector<std::int64_t> selection, fs::path path,
                std::unique_ptr<ByteStream> bytes)
      : ImageStream(std::move(entries), std::move(selection)),
        path_(std::move(path)),
        bytes_(std::move(bytes)) {}

 private:
  Result<std::vector<std::byte>> read(const ImageEntry& entry) override {
    if (entry.size > max_image_file) {
      return bad_input("{}: {} has {} bytes, too many for an image", path_.string(), entry.name,
                       entry.size);
    }
    std::vector<std::byte> out(static_cast<std::size_t>(entry.size));
    if (auto status = fill(entry, out); !status) {
      return tl::unexpected(status.error().with_context(path_.string()));
    }
    return out;
  }
  Status fill(const ImageEntry& entry, std::span<std::byte> out) {
    // Entries come in archive order, so that the stream only ever goes forward.
    OCTET_TRY(bytes_->skip(entry.offset - bytes_->position()));
    return read_exactly(*bytes_, out);
  }
  fs::path path_;
  std::unique_ptr<ByteStream> bytes_;
};

class ImageDataset final : public Dataset {
 public:
  ImageDataset(fs::path path, bool archive, ImageList list, ImageInput input)
      : path_(std::move(path)),
        name_(dataset_name(path_)),
        archive_(archive),
        class_count_(list.class_count),
        input_(std::move(input)) {
    labels_.reserve(list.entries.size());
    for (const auto& entry : list.entries) labels_.push_back(entry.label);
    entries_ = std::make_shared<const std::vector<ImageEntry>>(std::move(list.entries));
  }

  std::int64_t size() const override { return static_cast<std::int64_t>(entries_->size()); }
  const std::string& name() const override { return name_; }
  bool holds_images() const override { return true; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  int class_count() const override { return class_count_; }

  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    OCTET_TRY(check_selection(selection, size()));
    if (!archive_) {
      return std::unique_ptr<SampleStream>(
          std::make_unique<FolderStream>(entries_, std::move(selection), path_));
    }
    OCTET_ASSIGN(auto bytes, open_byte_stream(path_));
    return std::unique_ptr<SampleStream>(
        std::make_unique<ArchiveStream>(entries_, std::move(selection), path_, std::move(bytes)));
  }

  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    const auto image = decode_image(sample.bytes);
    if (!image) {
      return bad_input("cannot decode image {}: {}", (path_ / sample.name).string(),
                       image.error().message);
    }
    auto tensor = input_(*image);
    if (!tensor) {
      return tl::unexpected(
          tensor.error().with_context("cannot use image " + (path_ / sample.name).string()));
    }
    return std::vector<Tensor>{std::move(*tensor)};
  }

 private:
  fs::path path_;
  std::string name_;
  bool archive_;
  int class_count_;
  ImageInput input_;
  std::vector<std::int32_t> labels_;
  Entries entries_;
};

Status refuse_labels(const fs::path& path, const DatasetOptions& options) {
  if (options.labels.empty()) return {};
  return fail(ErrorKind::usage, "{} brings its own labels; a labels file goes with .npy data",
              path.string());
}

}  // namespace

std::string dataset_name(const fs::path& path) {
  const auto name = path.filename();
  if (!name.empty() && name != "." && name != "..") return name.string();
  std::error_code error;
  auto absolute = fs::weakly_canonical(path, error);
  if (!absolute.has_filename()) absolute = absolute.parent_path();
  return error ? path.string() : absolute.filename().string();
}

Result<std::unique_ptr<Dataset>> open_image_folder(const fs::path& path,
                                                   const DatasetOptions& options) {
  OCTET_TRY(refuse_labels(path, options));
  OCTET_ASSIGN(auto input, ImageInput::create(options.recipe, options.inputs));
  std::error_code error;
  const bool listed = fs::exists(path / "labels.txt", error);
  OCTET_ASSIGN(auto list, listed ? list_labelled_images(path) : list_class_folders(path));
  return std::unique_ptr<Dataset>(
      std::make_unique<ImageDataset>(path, false, std::move(list), std::move(input)));
}

Result<std::unique_ptr<Dataset>> open_image_archive(const fs::path& path,
                                                    const DatasetOptions& options) {
  OCTET_TRY(refuse_labels(path, options));
  OCTET_ASSIGN(auto input, ImageInput::create(options.recipe, options.inputs));
  OCTET_ASSIGN(const auto bytes, open_byte_stream(path));
  const auto index = index_tar(*bytes, is_label_list);
  if (!index) return tl::unexpected(index.error().with_context(path.string()));
  auto list = list_tar_images(*index);
  if (!list) return tl::unexpected(list.error().with_context(path.string()));
  return std::unique_ptr<Dataset>(
      std::make_unique<ImageDataset>(path, true, std::move(*list), std::move(input)));
}

}  // namespace octet
