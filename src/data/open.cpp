#include <algorithm>
#include <cstring>

#include "data/array_dataset.h"
#include "data/byte_stream.h"
#include "data/dataset.h"
#include "data/idx.h"
#include "data/idx_dataset.h"
#include "data/image_dataset.h"
#include "data/npy_header.h"
#include "data/tar.h"

namespace octet {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view accepted =
    "a folder of class folders, a folder with labels.txt, .npy, .npz, a folder of NAME.npy, MNIST "
    "IDX images (.gz too), or .tar or .tar.gz of class folders or labels.txt";

bool starts_with(std::span<const std::byte> bytes, std::string_view signature) {
  return bytes.size() >= signature.size() &&
         std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
}

/// Looks for files that decide what a folder is.
Result<std::unique_ptr<Dataset>> open_folder(const fs::path& path, const DatasetOptions& options) {
  std::error_code error;
  if (fs::exists(path / "labels.txt", error)) return open_image_folder(path, options);
  bool has_folders = false;
  bool has_arrays = false;
  fs::path idx;
  for (fs::directory_iterator it(path, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const auto name = it->path().filename().string();
    if (name.front() == '.') continue;
    std::error_code ignored;
    has_folders = has_folders || it->is_directory(ignored);
    has_arrays = has_arrays || it->path().extension() == ".npy";
    if (name.find("images-idx3-ubyte") != std::string::npos) idx = std::max(idx, it->path());
  }
  if (error) return bad_input("cannot read folder {}: {}", path.string(), error.message());
  if (has_arrays) return open_npy_folder(path, options);
  if (!idx.empty() && !has_folders) {
    return bad_input("{} holds MNIST files: name the images, such as {}", path.string(),
                     idx.string());
  }
  return open_image_folder(path, options);
}

/// Says what a file is that is no data set.
Result<std::unique_ptr<Dataset>> refuse(const fs::path& path, std::span<const std::byte> start) {
  const bool image = starts_with(start, "\x89PNG") || starts_with(start, "\xff\xd8\xff") ||
                     starts_with(start, "BM");
  return bad_input("{} is {}, not a data set; accepted: {}", path.string(),
                   image ? "a single image" : "of an unknown kind", accepted);
}

}  // namespace

Result<std::unique_ptr<Dataset>> open_dataset(const fs::path& path, const DatasetOptions& options) {
  std::error_code error;
  const auto kind = fs::status(path, error).type();
  if (kind == fs::file_type::not_found) return bad_input("there is no {}", path.string());
  if (kind == fs::file_type::directory) return open_folder(path, options);
  OCTET_ASSIGN(const auto stream, open_byte_stream(path));
  std::vector<std::byte> start(512);
  const auto count = stream->read(start);
  if (!count) return tl::unexpected(count.error().with_context(path.string()));
  start.resize(*count);
  if (start.empty()) return bad_input("{} is empty", path.string());
  OCTET_ASSIGN(const bool gzip, is_gzip_file(path));
  if (has_idx_signature(start)) return open_idx_dataset(path, options);
  if (is_tar_header(start)) return open_image_archive(path, options);
  // A damaged or truncated archive still deserves the archive's own error.
  const auto name = path.filename().string();
  if (name.find(".tar") != std::string::npos || path.extension() == ".tgz") {
    return open_image_archive(path, options);
  }
  const bool array = has_npy_signature(start);
  const bool zip = starts_with(start, "PK\x03\x04") || starts_with(start, "PK\x05\x06");
  if (gzip && (array || zip)) return bad_input("{} is gzipped; unpack it first", path.string());
  if (array || path.extension() == ".npy") return open_npy_dataset(path, options);
  if (zip || path.extension() == ".npz") return open_npz_dataset(path, options);
  return refuse(path, start);
}

}  // namespace octet
