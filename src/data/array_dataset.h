#pragma once
#include "data/dataset.h"

namespace octet {

/// X.npy for a model of one input. Labels come from options.labels.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_npy_dataset(const std::filesystem::path& path,
                                                                const DatasetOptions& options);

/// An .npz, or a folder of NAME.npy: arrays are matched to inputs by name (where a name has a
/// character that files cannot have, '_' stands for it); a single array feeds a single input
/// whatever its name. Labels come from options.labels, else from an array `labels` that is no
/// input.
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_npz_dataset(const std::filesystem::path& path,
                                                                const DatasetOptions& options);
[[nodiscard]] Result<std::unique_ptr<Dataset>> open_npy_folder(const std::filesystem::path& path,
                                                               const DatasetOptions& options);

/// Labels for `count` samples from a .npy of integers, [N] or [N,1]; none when `path` is empty.
[[nodiscard]] Result<std::vector<std::int32_t>> read_labels(const std::filesystem::path& path,
                                                            std::int64_t count);

/// Integer labels from a tensor. `source` names it in errors.
[[nodiscard]] Result<std::vector<std::int32_t>> labels_from(const Tensor& tensor,
                                                            std::int64_t count,
                                                            const std::string& source);

}  // namespace octet
