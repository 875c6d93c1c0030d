#include "data/idx_dataset.h"

#include "data/array_dataset.h"
#include "data/byte_stream.h"
#include "data/idx.h"
#include "data/image_dataset.h"
#include "data/image_input.h"
#include "data/selection.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t max_side = 32768;
constexpr std::uint64_t max_labels = std::uint64_t{1} << 31;

class IdxStream final : public SampleStream {
 public:
  IdxStream(fs::path path, std::string name, std::unique_ptr<ByteStream> bytes,
            std::vector<std::int64_t> selection, const IdxHeader& header)
      : path_(std::move(path)),
        name_(std::move(name)),
        bytes_(std::move(bytes)),
        selection_(std::move(selection)),
        data_offset_(header.data_offset),
        image_size_(static_cast<std::size_t>(header.shape[1] * header.shape[2])) {}

  Result<std::optional<RawSample>> next() override {
    if (position_ == selection_.size()) return std::nullopt;
    RawSample sample;
    sample.index = selection_[position_++];
    sample.name = fmt::format("{}[{}]", name_, sample.index);
    sample.bytes.resize(image_size_);
    if (auto status = fill(sample); !status) {
      return tl::unexpected(status.error().with_context(path_.string()));
    }
    return std::optional<RawSample>(std::move(sample));
  }

 private:
  Status fill(RawSample& sample) {
    const auto offset = data_offset_ + static_cast<std::uint64_t>(sample.index) * image_size_;
    OCTET_TRY(bytes_->skip(offset - bytes_->position()));
    return read_exactly(*bytes_, sample.bytes);
  }

  fs::path path_;
  std::string name_;
  std::unique_ptr<ByteStream> bytes_;
  std::vector<std::int64_t> selection_;
  std::size_t position_ = 0;
  std::uint64_t data_offset_;
  std::size_t image_size_;
};

class IdxDataset final : public Dataset {
 public:
  IdxDataset(fs::path path, IdxHeader header, std::vector<std::int32_t> labels, ImageInput input)
      : path_(std::move(path)),
        name_(dataset_name(path_)),
        header_(std::move(header)),
        labels_(std::move(labels)),
        input_(std::move(input)) {}

  std::int64_t size() const override { return header_.shape[0]; }
  const std::string& name() const override { return name_; }
  bool holds_images() const override { return true; }
  const std::vector<std::int32_t>& labels() const override { return labels_; }
  int class_count() const override { return 0; }

  Result<std::unique_ptr<SampleStream>> stream(std::vector<std::int64_t> selection) const override {
    OCTET_TRY(check_selection(selection, size()));
    OCTET_ASSIGN(auto bytes, open_byte_stream(path_));
    return std::unique_ptr<SampleStream>(
        std::make_unique<IdxStream>(path_, name_, std::move(bytes), std::move(selection), header_));
  }

  Result<std::vector<Tensor>> decode(const RawSample& sample) const override {
    Image image{static_cast<int>(header_.shape[2]), static_cast<int>(header_.shape[1]), 1, {}};
    const auto* pixels = reinterpret_cast<const std::uint8_t*>(sample.bytes.data());
    image.pixels.assign(pixels, pixels + sample.bytes.size());
    auto tensor = input_(image);
    if (!tensor) return tl::unexpected(tensor.error().with_context("cannot use " + sample.name));
    return std::vector<Tensor>{std::move(*tensor)};
  }

 private:
  fs::path path_;
  std::string name_;
  IdxHeader header_;
  std::vector<std::int32_t> labels_;
  ImageInput input_;
};

Result<IdxHeader> read_header(const fs::path& path) {
  OCTET_ASSIGN(const auto stream, open_byte_stream(path));
  std::vector<std::byte> start(max_idx_header);
  OCTET_ASSIGN(const auto count, stream->read(start));
  start.resize(count);
  OCTET_ASSIGN(auto header, parse_idx_header(start));
  const auto& shape = header.shape;
  if (shape.size() != 3) {
    return bad_input("shape {} is not that of images [N,H,W]; a labels file goes beside the images",
                     to_string(shape));
  }
  if (shape[0] < 1 || shape[1] < 1 || shape[2] < 1 || shape[1] > max_side || shape[2] > max_side) {
    return bad_input("its shape {} makes no sense", to_string(shape));
  }
  // A gzipped file tells its length only when it is read.
  OCTET_ASSIGN(const bool gzip, is_gzip_file(path));
  if (gzip) return header;
  OCTET_ASSIGN(const auto file, RandomFile::open(path));
  const auto wanted = header.data_offset + static_cast<std::uint64_t>(element_count(shape));
  if (file->size() < wanted) {
    return bad_input("truncated at byte {}: shape {} needs {} bytes", file->size(),
                     to_string(shape), wanted);
  }
  return header;
}

Result<Tensor> read_idx(const fs::path& path) {
  OCTET_ASSIGN(const auto stream, open_byte_stream(path));
  std::vector<std::byte> bytes;
  while (true) {
    const auto old = bytes.size();
    bytes.resize(old + (std::size_t{1} << 16));
    OCTET_ASSIGN(const auto count, stream->read(std::span(bytes).subspan(old)));
    bytes.resize(old + count);
    if (count == 0) return parse_idx(bytes);
    if (bytes.size() > max_labels) return bad_input("it is absurdly large for labels");
  }
}

bool replace(std::string& text, std::string_view from, std::string_view to) {
  const auto at = text.rfind(from);
  if (at == std::string::npos) return false;
  text.replace(at, from.size(), to);
  return true;
}

/// The labels file beside the images, or an empty path.
fs::path labels_beside(const fs::path& images) {
  auto name = images.filename().string();
  if (!replace(name, "images", "labels")) return {};
  replace(name, "idx3", "idx1");
  std::error_code error;
  auto path = images.parent_path() / name;
  if (fs::is_regular_file(path, error)) return path;
  path = path.extension() == ".gz" ? path.parent_path() / path.stem() : fs::path(path) += ".gz";
  return fs::is_regular_file(path, error) ? path : fs::path();
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_idx_dataset(const fs::path& path,
                                                  const DatasetOptions& options) {
  const auto header = read_header(path);
  if (!header) return tl::unexpected(header.error().with_context(path.string()));
  OCTET_ASSIGN(auto input, ImageInput::create(options.recipe, options.inputs));
  const auto count = header->shape[0];
  OCTET_ASSIGN(auto labels, read_labels(options.labels, count));
  if (const auto beside = labels_beside(path); labels.empty() && !beside.empty()) {
    const auto tensor = read_idx(beside);
    if (!tensor) return tl::unexpected(tensor.error().with_context(beside.string()));
    OCTET_ASSIGN(labels, labels_from(*tensor, count, beside.string()));
  }
  return std::unique_ptr<Dataset>(
      std::make_unique<IdxDataset>(path, *header, std::move(labels), std::move(input)));
}

}  // namespace octet
