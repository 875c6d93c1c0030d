#pragma once
#include "data/dataset.h"

namespace octet {

/// A folder of class folders, or a folder with labels.txt.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_image_folder(const std::filesystem::path& path,
                                                                 const DatasetOptions& options);

/// The same in a .tar or .tar.gz. One pass over the archive finds the names; a .tar.gz is then
/// inflated again by each stream, up to the last sample that is wanted.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_image_archive(const std::filesystem::path& path,
                                                                  const DatasetOptions& options);

/// The last part of a path, also when it ends in a slash.
[[nodiscard]] std::string dataset_name(const std::filesystem::path& path);

}  // namespace octet
