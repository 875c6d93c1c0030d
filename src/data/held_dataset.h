#pragma once
// A data set that is read once and swept several times.

#include "data/dataset.h"

namespace octet {

/// Reads the samples of `selection` and keeps them undecoded, so that further sweeps over them or
/// some of them neither search nor unpack an archive again. Where they take more than `limit`
/// bytes, none are kept and `dataset` itself comes back. `selection` must be sorted, without
/// repeats.
[[nodiscard]] Result<std::unique_ptr<Dataset>> hold_samples(
    std::unique_ptr<Dataset> dataset, const std::vector<std::int64_t>& selection,
    std::size_t limit);

}  // namespace octet
