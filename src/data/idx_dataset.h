#pragma once
#include "data/dataset.h"

namespace octet {

/// MNIST images (IDX of rank 3, gzipped or not), which go through the recipe as grey images.
/// Labels: options.labels, else the IDX file whose name has "labels" and "idx1" for "images" and
/// "idx3", with or without .gz; else none.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_idx_dataset(const std::filesystem::path& path,
                                                                const DatasetOptions& options);

}  // namespace octet
