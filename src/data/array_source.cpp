#include "data/array_source.h"

#include <algorithm>
#include <cstring>

#include "data/npy.h"
#include "data/npy_header.h"
#include "data/zip.h"

namespace octet {
namespace {

constexpr std::string_view suffix = ".npy";

bool has_npy_suffix(std::string_view name) {
  return name.size() > suffix.size() && name.substr(name.size() - suffix.size()) == suffix;
}

}  // namespace

Result<ArraySource> ArraySource::from_tensor(Tensor tensor, std::string name) {
  ArraySource source;
  source.name_ = std::move(name);
  source.dtype_ = tensor.dtype();
  source.shape_ = tensor.shape();
  source.tensor_ = std::move(tensor);
  if (source.shape_.empty()) return bad_input("{}.npy is a single number", source.name_);
  return source;
}

Result<ArraySource> ArraySource::from_file(std::shared_ptr<const RandomFile> file,
                                           std::uint64_t offset, std::uint64_t size,
                                           std::string name) {
  std::vector<std::byte> start(
      static_cast<std::size_t>(std::min<std::uint64_t>(size, max_npy_header)));
  OCTET_TRY(file->read_at(offset, start));
  OCTET_ASSIGN(const auto header, parse_npy_header(start));
  const auto bytes = storage_bytes(header.dtype, element_count(header.shape));
  if (bytes > size - header.data_offset) {
    return bad_input("truncated .npy data: shape {} of {} needs {} bytes, {} are there",
                     to_string(header.shape), octet::name(header.dtype), bytes,
                     size - header.data_offset);
  }
  // Rows of these do not lie in the file as they are needed.
  if (header.fortran_order || header.big_endian || header.dtype == DType::boolean) {
    std::vector<std::byte> whole(static_cast<std::size_t>(size));
    OCTET_TRY(file->read_at(offset, whole));
    OCTET_ASSIGN(auto tensor, parse_npy(whole));
    return from_tensor(std::move(tensor), std::move(name));
  }
  if (header.shape.empty()) return bad_input("it is a single number, not an array");
  ArraySource source;
  source.name_ = std::move(name);
  source.dtype_ = header.dtype;
  source.shape_ = header.shape;
  source.file_ = std::move(file);
  source.offset_ = offset + header.data_offset;
  return source;
}

Result<ArraySource> ArraySource::open_npy(const std::filesystem::path& path) {
  OCTET_ASSIGN(auto file, RandomFile::open(path));
  const auto size = file->size();
  auto source = from_file(std::move(file), 0, size, path.stem().string());
  if (!source) return tl::unexpected(source.error().with_context(path.string()));
  return source;
}

Result<std::vector<ArraySource>> ArraySource::open_npz(const std::filesystem::path& path) {
  const auto context = [&](const Error& error) {
    return tl::unexpected(error.with_context(path.string()));
  };
  OCTET_ASSIGN(const auto file, RandomFile::open(path));
  const auto entries = list_zip(*file);
  if (!entries) return context(entries.error());
  std::vector<ArraySource> sources;
  for (const auto& entry : *entries) {
    if (!has_npy_suffix(entry.name)) continue;
    auto name = entry.name.substr(0, entry.name.size() - suffix.size());
    Result<ArraySource> source;
    if (entry.deflated) {
      const auto bytes = read_zip(*file, entry);
      if (!bytes) return context(bytes.error());
      auto tensor = parse_npy(*bytes);
      if (!tensor) return context(tensor.error().with_context(entry.name));
      source = from_tensor(std::move(*tensor), std::move(name));
    } else {
      source = from_file(file, entry.offset, entry.size, std::move(name));
    }
    if (!source) return context(source.error().with_context(entry.name));
    sources.push_back(std::move(*source));
  }
  if (sources.empty()) return bad_input("{} holds no .npy arrays", path.string());
  return sources;
}

Result<Tensor> ArraySource::row(std::int64_t i) const {
  Shape shape = shape_;
  shape[0] = 1;
  OCTET_ASSIGN(Tensor out, Tensor::create(dtype_, std::move(shape)));
  const auto start = static_cast<std::uint64_t>(i) * out.bytes();
  if (out.bytes() == 0) return out;
  if (file_) {
    OCTET_TRY(file_->read_at(offset_ + start, {out.mutable_raw(), out.bytes()}));
  } else {
    std::memcpy(out.mutable_raw(), tensor_.raw() + start, out.bytes());
  }
  return out;
}

Result<Tensor> ArraySource::all() const {
  if (!file_) return tensor_;
  OCTET_ASSIGN(Tensor out, Tensor::create(dtype_, shape_));
  if (out.bytes() > 0) {
    OCTET_TRY(file_->read_at(offset_, {out.mutable_raw(), out.bytes()}));
  }
  return out;
}

}  // namespace octet
