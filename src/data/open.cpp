#include <array>

#include "data/byte_stream.h"
#include "data/dataset.h"
#include "data/image_dataset.h"
#include "data/tar.h"

namespace octet {
namespace {
namespace fs = std::filesystem;
}

Result<std::unique_ptr<Dataset>> open_dataset(const fs::path& path, const DatasetOptions& options) {
  std::error_code error;
  if (fs::is_directory(path, error)) return open_image_folder(path, options);
  return open_image_archive(path, options);
}
}  // namespace octet
